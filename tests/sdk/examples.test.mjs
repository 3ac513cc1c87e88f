// The examples, as somebody runs them who reads them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { Server } from "./server.mjs";

const kExamples = process.env.ENGRAM_EXAMPLES;
let folder, environment;
before(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), "engram-examples-")));
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("ENGRAM_"));
  environment = { ...Object.fromEntries(others), ENGRAM: process.env.ENGRAM_PROGRAM, ENGRAM_THREADS: "1", ENGRAM_CONTEXT: "8192", ENGRAM_TEMP: "0" };
});
after(() => rm(folder, { recursive: true, force: true }));

function run(command, args, more = {}) {
  const done = spawnSync(command, args, { encoding: "utf8", timeout: 60_000, env: { ...environment, ...more } });
  assert.equal(done.status, 0, `${command} ${args.join(" ")}: ${done.stdout}${done.stderr}`);
  return done.stdout;
}

test("two servers", () => {
  const both = [path.join(kExamples, "two_servers.py"), path.join(folder, "two")];
  const first = run("python3", both);
  assert.match(first, /code word is zarimo.*\nkeeper: .*\n.*\nchief to keeper: What is my code word\?\nkeeper: .*zarimo/);
  assert.match(first, /Kestrel is KRWQZ.*\nclerk: .*\n.*\nscout to clerk: What is the access code for server Kestrel\?\nclerk: .*KRWQZ/);
  const again = run("python3", both);
  for (const [question, known] of [["^chief to keeper: What is my code word\\?\nkeeper", /zarimo/], ["scout to clerk: What is .*\nclerk", /KRWQZ/]]) {
    const [, asked, cached] = again.match(new RegExp(`${question}: (.*)\n\\((\\d+) of \\d+ tokens`));
    assert.match(asked, known, "both were started anew");
    assert.ok(Number(cached) > 20, cached);
  }
});

test("a team", async () => {
  const home = { ENGRAM_HOME: path.join(folder, "team"), FILES: folder };
  const engram = (...words) => run(environment.ENGRAM, words, home);
  await writeFile(path.join(folder, "tides.txt"), "High tide is at noon.\n");
  const team = path.join(kExamples, "team");
  assert.match(engram("agent", "apply", path.join(team, "agents")), /clerk/);
  assert.match(engram("agent", "find", "harbour"), /pilot/);
  assert.match(engram("tools", "--mcp-config", path.join(team, "mcp.json")), /files\/read_text_file/);
  engram("act", "clerk", "--mcp-config", path.join(team, "mcp.json"), "The code word for project Heron is zarimo. Please remember it.");
  assert.match(engram("act", "clerk", "--mcp-config", path.join(team, "mcp.json"), "What is the code word for project Heron?"), /zarimo/);
});

test("a team at a running server", async () => {
  const agents = path.join(folder, "roles");
  await mkdir(agents);
  for (const name of ["clerk.toml", "pilot.toml"]) await copyFile(path.join(kExamples, "team", "agents", name), path.join(agents, name));
  const server = await Server.start();
  try {
    const apply = (...more) => JSON.parse(run(environment.ENGRAM, ["agent", "apply", agents, "--url", server.url, "--json", ...more])).agents;
    const done = (steps) => steps.map((step) => [step.agent, step.done]);
    const ids = async () => (await server.raw("GET", "/v1/agents")).json.agents.map((agent) => agent.id);
    assert.deepEqual(done(apply("--dry-run")), [["clerk", "created"], ["pilot", "created"]]);
    assert.deepEqual(await ids(), []);
    assert.deepEqual(done(apply()), [["clerk", "created"], ["pilot", "created"]]);
    const clerk = (await server.raw("GET", "/v1/agents/clerk")).json;
    assert.deepEqual([clerk.card.colleagues, clerk.card.tools, clerk.card.team], [["pilot"], ["files/*"], "harbour"]);
    assert.match(clerk.system_prompt, /^You are the clerk/);
    assert.deepEqual(done(apply()), [["clerk", "unchanged"], ["pilot", "unchanged"]], "doing it again changes nothing");

    await writeFile(path.join(agents, "pilot.toml"), 'description = "Steers"\nsystem_prompt = "You steer."\nretention = "24h"\n');
    await rm(path.join(agents, "clerk.toml"));
    await server.raw("POST", "/v1/agents", { id: "somebody" });
    const [step] = apply();
    assert.deepEqual([step.agent, step.done, step.what], ["pilot", "changed", ["system_prompt", "description", "card", "retention"]]);
    const pilot = (await server.raw("GET", "/v1/agents/pilot")).json;
    assert.deepEqual([pilot.description, pilot.system_prompt, pilot.retention], ["Steers", "You steer.", "24h"]);
    assert.deepEqual(done(apply("--prune")), [["clerk", "removed"], ["pilot", "unchanged"]]);
    assert.deepEqual(await ids(), ["pilot", "somebody"], "what isn't of the set stays");

    const key = server.command("key", "create");
    const refused = () => run(environment.ENGRAM, ["agent", "apply", agents, "--url", server.url]);
    for (let tries = 0; tries < 100 && (await server.raw("GET", "/v1/agents")).status !== 401; ++tries) await setTimeout(100);
    assert.throws(refused, /a valid API key is needed/);
    const asked = ["agent", "apply", agents, "--url", server.url, "--api-key-env", "TEAM_KEY", "--json"];
    assert.deepEqual(done(JSON.parse(run(environment.ENGRAM, asked, { TEAM_KEY: key })).agents), [["pilot", "unchanged"]]);
  } finally {
    await server.stop();
  }
});

// They find their packages beside this file.
async function client(name, ...args) {
  const copy = path.resolve(`example-${name}`);
  await copyFile(path.join(kExamples, "clients", name), copy);
  return run(process.execPath, [copy, ...args]);
}

test("clients", async () => {
  const server = await Server.start();
  try {
    const mcp = await client("mcp.mjs", `${server.url}/mcp`);
    assert.match(mcp, /tools: list_agents, find_agents/);
    assert.match(mcp, /ledger: .*zarimo/);
    assert.match(mcp, /assistant: /);
    assert.match(await client("a2a.mjs", server.url), /the answer: .*zarimo/);
  } finally {
    await server.stop();
  }
});

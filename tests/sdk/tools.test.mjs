// Agents that act: the tools of the reference MCP servers and of another Engram, approvals, colleagues and notes, across a crash.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { events, Server } from "./server.mjs";

const kServers = path.resolve("node_modules/@modelcontextprotocol");
let server, folder, remote, other;

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

// The reference server behind an address, in a process of its own.
async function startRemote() {
  const port = await freePort();
  const program = path.join(kServers, "server-everything", "dist/index.js");
  remote = spawn(process.execPath, [program, "streamableHttp"], { env: { ...process.env, PORT: String(port) }, stdio: "ignore" });
  const url = `http://localhost:${port}/mcp`;
  for (let tries = 0; ; ++tries) {
    try {
      const answer = await fetch(url); // without a session it says no, which is enough
      await answer.body?.cancel();
      return url;
    } catch (error) {
      if (tries === 300 || remote.exitCode !== null) throw error;
      await pause(100);
    }
  }
}

before(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), "engram-files-")));
  await writeFile(path.join(folder, "tides.txt"), "High tide is at noon.\n");
  other = await Server.start();
  const config = path.join(folder, "mcp.json");
  const node = (name, ...args) => ({ command: process.execPath, args: [path.join(kServers, name, "dist/index.js"), ...args] });
  await writeFile(
    config,
    JSON.stringify({
      mcpServers: {
        files: node("server-filesystem", folder),
        everything: { ...node("server-everything"), env: { NO_COLOR: "${NO_COLOR:-1}" } },
        gone: { command: "engram-no-such-server" },
        remote: { type: "http", url: await startRemote() },
        engram: { type: "http", url: `${other.url}/mcp` },
      },
    }),
  );
  server = await Server.start(["--mcp-config", config]);
});
after(async () => {
  await server?.stop();
  await other?.stop();
  remote?.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function call(method, target, body, status = 200) {
  const answer = await server.raw(method, target, body);
  assert.equal(answer.status, status, `${method} ${target}: ${answer.text}`);
  return answer.json;
}

// The model says exactly this: what is tested is what comes of it.
const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
const calling = (...calls) =>
  "root ::= " + quoted(calls.map(([name, args]) => `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`).join("\n")).replaceAll("\n", "\\n");
const run = (agent, body) => call("POST", `/v1/agents/${agent}/run`, { max_tokens: 300, limits: { steps: 2 }, ...body });

// The events of a run that calls what `grammar` says: [name, data] of each.
async function streamed(agent, grammar) {
  const response = await fetch(`${server.url}/v1/agents/${agent}/run`, {
    method: "POST",
    body: JSON.stringify({ prompt: "Take your time.", stream: true, max_tokens: 300, limits: { steps: 2 }, grammar }),
  });
  const seen = [];
  for await (const [name, data] of events(response)) seen.push([name, JSON.parse(data)]);
  return seen;
}

describe("tools", () => {
  test("of the reference servers are listed, with what is wrong with one", async () => {
    const { servers } = await call("GET", "/v1/tools");
    assert.deepEqual(servers.map((one) => one.name), ["files", "everything", "gone", "remote", "engram"]);
    assert.ok(servers[0].tools.some((tool) => tool.name === "files/read_text_file" && tool.model_name === "files__read_text_file"));
    assert.ok(servers[1].tools.some((tool) => tool.name === "everything/echo"));
    assert.match(servers[2].trouble, /there is no program engram-no-such-server/);
    assert.ok(servers[3].tools.some((tool) => tool.name === "remote/echo"), servers[3].trouble);
    assert.ok(servers[4].tools.some((tool) => tool.name === "engram/ask_agent"));
  });

  test("are called, and the model goes on with their results", async () => {
    await call("POST", "/v1/agents", { id: "clerk", system_prompt: "You read files.", card: { tools: ["files/*", "everything/*"] } }, 201);
    const file = path.join(folder, "tides.txt");
    const done = await run("clerk", { prompt: "When is high tide?", grammar: calling(["files__read_text_file", { path: file }]) });
    assert.deepEqual(done.steps.map((step) => step.kind), ["answer", "tool", "answer"]);
    assert.equal(done.steps[1].tool, "files__read_text_file");
    assert.match(done.steps[1].output, /High tide is at noon/);
    assert.equal(done.end, "steps");
    const [first, , second] = done.steps;
    assert.ok(second.cached_tokens >= first.prompt_tokens + first.answer_tokens - 1, "only the result was read");
    const { messages } = await call("GET", "/v1/agents/clerk/transcript");
    assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "tool", "assistant"]);
  });

  test("several at a time, with errors that the model reads", async () => {
    const done = await run("clerk", {
      prompt: "Go on.",
      grammar: calling(["everything__echo", { message: "hello" }], ["files__read_text_file", { path: "/etc/hostname" }], ["nobody__knows", {}]),
    });
    const [echo, denied, unknown] = done.steps.filter((step) => step.kind === "tool");
    assert.match(echo.output, /hello/);
    assert.equal(echo.failed, false);
    assert.match(denied.output, /Access denied/i);
    assert.equal(denied.failed, true);
    assert.match(unknown.output, /There is no tool nobody__knows/);
  });

  test("are streamed as they go", async () => {
    const seen = await streamed("clerk", calling(["everything__trigger-long-running-operation", { duration: 1, steps: 2 }]).replace('"', '"Well. '));
    const names = seen.map(([name]) => name);
    assert.equal(names.at(-1), "done");
    for (const name of ["text", "tool_begins", "tool_progress", "tool_ends"]) assert.ok(names.includes(name), `${name} in ${names}`);
    assert.ok(names.indexOf("tool_begins") < names.indexOf("tool_progress"));
    assert.equal(seen.find(([name]) => name === "tool_ends")[1].failed, false);
  });

  test("an agent without them has none, and one may have some", async () => {
    await call("POST", "/v1/agents", { id: "reader", card: { tools: ["files/read_*"] } }, 201);
    const done = await run("reader", { prompt: "Write.", grammar: calling(["files__write_file", { path: path.join(folder, "x"), content: "y" }]) });
    assert.match(done.steps[1].output, /There is no tool files__write_file/);
    assert.equal(done.steps[1].failed, true);
  });
});

describe("tools over HTTP", () => {
  test("of the reference server, with their progress", async () => {
    await call("POST", "/v1/agents", { id: "distant", card: { tools: ["remote/*"] } }, 201);
    const done = await run("distant", { prompt: "Say it.", grammar: calling(["remote__echo", { message: "over there" }], ["remote__get-sum", { a: 2, b: 3 }]) });
    const [echo, sum] = done.steps.filter((step) => step.kind === "tool");
    assert.equal(echo.failed, false, echo.output);
    assert.match(echo.output, /over there/);
    assert.match(sum.output, /5/);
    const seen = await streamed("distant", calling(["remote__trigger-long-running-operation", { duration: 1, steps: 2 }]));
    assert.ok(seen.some(([name]) => name === "tool_progress"));
    assert.equal(seen.find(([name]) => name === "tool_ends")[1].failed, false);
  });

  test("of another Engram: its agents are asked", async () => {
    const made = await other.raw("POST", "/v1/agents", { id: "keeper", system_prompt: "You keep the light.", description: "Keeps the lighthouse" });
    assert.equal(made.status, 201, made.text);
    await call("POST", "/v1/agents", { id: "asker", card: { tools: ["engram/*"] } }, 201);
    const found = await run("asker", { prompt: "Who is there?", grammar: calling(["engram__list_agents", {}]) });
    assert.equal(found.steps[1].failed, false, found.steps[1].output);
    assert.match(found.steps[1].output, /keeper/);
    const asked = await run("asker", { prompt: "Ask.", grammar: calling(["engram__ask_agent", { agent: "keeper", message: "Is it lit?", max_tokens: 8 }]) });
    assert.equal(asked.steps[1].failed, false, asked.steps[1].output);
    const { json } = await other.raw("GET", "/v1/agents/keeper/transcript");
    assert.deepEqual(json.messages.map((message) => message.role), ["user", "assistant"]);
    assert.equal(json.messages[0].content, "Is it lit?");
  });
});

describe("a person's approval", () => {
  const file = () => path.join(folder, "written.txt");

  test("is waited for, also across a crash, and then the call is made", async () => {
    await call("POST", "/v1/agents", { id: "careful", card: { tools: ["files/*"], approvals: ["files/write_file"] } }, 201);
    const waits = await run("careful", { prompt: "Write it.", grammar: calling(["files__write_file", { path: file(), content: "approved" }]) });
    assert.equal(waits.end, "approval");
    assert.equal(waits.pending.length, 1);
    assert.deepEqual(waits.pending[0].arguments, { path: file(), content: "approved" });
    await assert.rejects(readFile(file()));
    await server.kill();
    await server.run();
    const done = await run("careful", { approvals: { [waits.pending[0].id]: "allow" }, grammar: 'root ::= "It is written."' });
    assert.equal(done.end, "answered");
    assert.equal(done.answer, "It is written.");
    assert.equal(await readFile(file(), "utf8"), "approved");
  });

  test("is refused, and the model is told", async () => {
    const waits = await run("careful", { prompt: "Again.", grammar: calling(["files__write_file", { path: file(), content: "no" }]) });
    const done = await run("careful", { approvals: { [waits.pending[0].id]: "deny" }, grammar: 'root ::= "So be it."' });
    assert.equal(done.answer, "So be it.");
    assert.match(done.steps[0].output, /did not allow/);
    assert.equal(await readFile(file(), "utf8"), "approved");
    await call("POST", "/v1/agents/careful/run", { approvals: { call_x: "allow" } }, 400);
    await call("POST", "/v1/agents/careful/run", { approvals: { call_x: "maybe" } }, 400);
    await call("POST", "/v1/agents/careful/run", {}, 400);
    await call("POST", "/v1/agents/nobody/run", { prompt: "x" }, 404);
  });
});

describe("colleagues", () => {
  test("work with their own memory, which outlives a crash; notes are shared by the team", async () => {
    const card = { team: "harbour" };
    await call("POST", "/v1/agents", { id: "pilot", system_prompt: "You are the pilot.", card }, 201);
    await call("POST", "/v1/agents", { id: "chief", system_prompt: "You lead.", card: { ...card, colleagues: ["pilot"] } }, 201);
    const giving = { prompt: "Ask.", grammar: calling(["delegate_to", { agent: "pilot", task: "Say where the ferry is." }]), limits: { steps: 2, result_tokens: 24 } };
    const first = await run("chief", giving);
    assert.equal(first.steps[1].kind, "delegation");
    assert.equal(first.steps[1].to, "pilot");
    const [before] = first.steps[1].steps;
    assert.equal(before.agent, "pilot");
    await server.kill();
    await server.run();
    const [again] = (await run("chief", giving)).steps[1].steps;
    assert.ok(again.cached_tokens >= before.prompt_tokens - 1, "what the pilot was told before the crash wasn't read again");
    await run("chief", { prompt: "Note it.", grammar: calling(["notes__write", { title: "ferry", text: "The ferry is late." }]) });
    const found = await run("pilot", { prompt: "Look.", grammar: calling(["notes__search", { words: "late ferry" }]) });
    assert.equal(found.steps[1].output, "ferry (by chief):\nThe ferry is late.");
  });
});

// MCP's own conformance tests against the server with the fixtures that they expect: all that a revision requires must pass, and
// beyond that all but what is named here.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { Server } from "./server.mjs";

// Of what a revision doesn't require: the extensions (tasks, skills) and what this server has no use for (streams that a client
// resumes, headers that repeat a tool's arguments). Whatever else fails has passed before.
const kMayFail = /^(tasks-|sep-2640-|server-sse-polling$|http-custom-header-server-validation$)/;

let server;
before(async () => (server = await Server.start(["--mcp-test-fixtures"])));
after(() => server.stop());

async function run(revision) {
  const words = ["node_modules/@modelcontextprotocol/conformance/dist/index.js", "server", "--url", `${server.url}/mcp`];
  const child = spawn(process.execPath, [...words, "--requirements", revision], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  const [status] = await once(child, "close");
  const summary = said.slice(said.indexOf("=== SUMMARY ==="));
  const scenarios = [...summary.matchAll(/^([✓✗]) ([\w/-]+): (\d+) passed, (\d+) failed$/gm)];
  return { status, said, scenarios: scenarios.map(([, mark, name, passed]) => ({ name, failed: mark === "✗", checks: Number(passed) })) };
}

for (const [revision, least] of [["2025-11-25", 30], ["2026-07-28", 37]]) {
  test(`what ${revision} requires of a server`, async (context) => {
    const { status, said, scenarios } = await run(revision);
    const passed = scenarios.filter((scenario) => !scenario.failed);
    const checks = scenarios.reduce((sum, scenario) => sum + scenario.checks, 0);
    context.diagnostic(`${passed.length} of ${scenarios.length} scenarios pass, ${checks} checks`);
    const failed = scenarios.filter((scenario) => scenario.failed).map((scenario) => scenario.name);
    context.diagnostic(`not passed: ${failed.join(", ") || "none"}`);
    assert.equal(status, 0, said);
    assert.ok(passed.length >= least, said);
    assert.deepEqual(failed.filter((name) => !kMayFail.test(name)), [], said);
  });
}

// The protocol's own JavaScript clients, of both generations, against the server: over HTTP and as a process they start.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as OldStdio } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as OldHttp } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { Server } from "./server.mjs";

const kWho = { name: "engram-test", version: "1.0.0" };
const newest = { versionNegotiation: { mode: "auto" } };
const kClients = {
  "the first client over HTTP": { make: () => new OldClient(kWho), http: OldHttp, old: true },
  "the first client over stdio": { make: () => new OldClient(kWho), stdio: OldStdio, old: true },
  "the second client over HTTP": { make: () => new Client(kWho), http: StreamableHTTPClientTransport },
  "the second client over HTTP, stateless": { make: () => new Client(kWho, newest), http: StreamableHTTPClientTransport, modern: true },
  "the first client over stdio, forwarded to the server": { make: () => new OldClient(kWho), stdio: OldStdio, old: true, forwarded: true },
  "the second client over stdio, stateless, forwarded to the server": { make: () => new Client(kWho, newest), stdio: StdioClientTransport, modern: true, forwarded: true },
  "the second client over stdio, stateless": { make: () => new Client(kWho, newest), stdio: StdioClientTransport, modern: true },
};

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

for (const [name, kind] of Object.entries(kClients)) {
  describe(name, () => {
    let client, home;
    // An agent's name that no other client has made.
    const named = (agent) => `${agent}-${Object.keys(kClients).indexOf(name)}`;
    const call = (tool, args, options) =>
      kind.old ? client.callTool({ name: tool, arguments: args }, undefined, options) : client.callTool({ name: tool, arguments: args }, options);

    before(async () => {
      home = await mkdtemp(path.join(tmpdir(), "engram-mcp-"));
      const own = ["mcp", "--home", home, "--threads", "1", "--context", "8192", "--temp", "0"];
      const args = kind.forwarded ? ["mcp", "--url", `${server.url}/mcp`] : own;
      const env = { PATH: process.env.PATH };
      const transport = kind.http
        ? new kind.http(new URL(server.url + "/mcp"))
        : new kind.stdio({ command: process.env.ENGRAM_PROGRAM, args, env });
      client = kind.make();
      await client.connect(transport);
    });
    after(async () => {
      await client.close();
      await rm(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
    });

    test("it is connected as it wanted", () => {
      assert.equal(client.getServerVersion().name, "engram");
      assert.ok(client.getServerCapabilities().tools);
      assert.match(client.getInstructions(), /ask_agent/);
      if (!kind.old) assert.equal(client.getDiscoverResult() !== undefined, Boolean(kind.modern));
    });

    test("agents are made, asked and forked", async () => {
      const { tools } = await client.listTools();
      assert.deepEqual(tools.map((tool) => tool.name), ["list_agents", "find_agents", "create_agent", "ask_agent", "fork_agent", "delegate"]);
      const card = { skills: [{ id: "codes", description: "Keeps code words", tags: ["secret"] }], colleagues: [named("clerk")] };
      const made = await call("create_agent", { id: named("ada"), system_prompt: "You are Ada, an agent.", card });
      assert.equal(made.structuredContent.id, named("ada"));
      await call("create_agent", { id: named("clerk") });
      const found = await call("find_agents", { skill: "secret", text: named("ada") });
      assert.deepEqual(found.structuredContent.agents.map((agent) => agent.id), [named("ada")]);

      await call("ask_agent", { agent: named("ada"), message: "My code word is zarimo.", max_tokens: 40 });
      const copy = await call("fork_agent", { agent: named("ada"), new_id: named("eve") });
      assert.equal(copy.structuredContent.turns, 1);
      for (const agent of ["ada", "eve"]) {
        const asked = await call("ask_agent", { agent: named(agent), message: "What is my code word?", max_tokens: 40 });
        assert.match(asked.content[0].text, /zarimo/);
        assert.equal(asked.structuredContent.end, "answered");
        assert.ok(asked.structuredContent.cached_tokens > 10, JSON.stringify(asked.structuredContent));
      }
      const given = await call("delegate", { from: named("ada"), to: named("clerk"), task: "My code word is belona.", max_tokens: 20 });
      assert.equal(given.structuredContent.agent, named("clerk"));
    });

    test("an error is the model's to read, or the program's", async () => {
      const wrong = await call("ask_agent", { agent: "nobody", message: "Hello" });
      assert.equal(wrong.isError, true);
      assert.match(wrong.content[0].text, /nobody/);
      await assert.rejects(() => client.readResource({ uri: "engram://agents/nobody/transcript" }), /no such resource/);
      await assert.rejects(() => client.getPrompt({ name: "nobody" }), /no prompt nobody/);
    });

    test("transcripts, roles, completion", async () => {
      const uri = `engram://agents/${named("ada")}/transcript`;
      const { resources } = await client.listResources();
      assert.ok(resources.some((resource) => resource.uri === uri));
      const { contents } = await client.readResource({ uri });
      assert.match(contents[0].text, /^system: You are Ada, an agent\.\n\nuser: My code word is zarimo\./);
      assert.match(contents[0].text, /I asked clerk/);
      const { resourceTemplates } = await client.listResourceTemplates();
      assert.deepEqual(resourceTemplates.map((template) => template.mimeType), ["text/plain", "application/json"]);
      const { prompts } = await client.listPrompts();
      assert.ok(prompts.some((prompt) => prompt.name === named("ada")));
      const role = await client.getPrompt({ name: named("ada"), arguments: { task: "Keep a secret." } });
      assert.deepEqual(role.messages.map((message) => message.content.text), ["You are Ada, an agent.", "Keep a secret."]);
      const completed = await client.complete({
        ref: { type: "ref/resource", uri: "engram://agents/{id}/transcript" },
        argument: { name: "id", value: named("ada") },
      });
      assert.deepEqual(completed.completion.values, [named("ada")]);
    });

    test("progress is told", async () => {
      const told = [];
      const message = "The meeting is on Monday. ".repeat(60);
      await call("ask_agent", { agent: named("ada"), message, max_tokens: 20 }, { onprogress: (progress) => told.push(progress) });
      assert.ok(told.length >= 2, JSON.stringify(told));
      for (let i = 1; i < told.length; ++i) assert.ok(told[i].progress > told[i - 1].progress, JSON.stringify(told));
      assert.match(told[0].message, /tokens/);
    });

    test("a cancelled call stops, and the next one is answered", async () => {
      const controller = new AbortController();
      const message = "The meeting is on Monday. ".repeat(400);
      const calling = call(
        "ask_agent",
        { agent: named("clerk"), message, max_tokens: 2000 },
        { signal: controller.signal, onprogress: () => controller.abort("enough") },
      );
      await assert.rejects(calling, /enough/);
      const next = await call("ask_agent", { agent: named("ada"), message: "What is my code word?", max_tokens: 40 });
      assert.match(next.content[0].text, /zarimo/);
    });
  });
}

// Agents that give work to agents of other programs, over A2A: two servers of ours, and agents made with the official packages.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { AgentCard, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent } from "@a2a-js/sdk";
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore } from "@a2a-js/sdk/server";
import { agentCardHandler, jsonRpcHandler, restHandler, UserBuilder } from "@a2a-js/sdk/server/express";
import { DefaultRequestHandler as RequestHandler03, InMemoryTaskStore as TaskStore03 } from "a2a-js-sdk-0-3/server";
import {
  agentCardHandler as cardHandler03,
  jsonRpcHandler as rpcHandler03,
  UserBuilder as UserBuilder03,
} from "a2a-js-sdk-0-3/server/express";
import express from "express";

import { freePorts, Server } from "./server.mjs";

let folder, config;
const servers = [];
const webs = [];
const configure = (agents) => writeFile(config, JSON.stringify({ a2aAgents: agents }));

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "engram-delegation-"));
  config = path.join(folder, "mcp.json");
});
after(async () => {
  for (const server of servers) await server.stop();
  for (const web of webs) web.close(), web.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});

async function started(flags = []) {
  const server = await Server.start(flags);
  servers.push(server);
  return server;
}

// A web server of this process, at a port of its own.
async function listening(handler) {
  const web = createServer(handler);
  webs.push(web);
  web.listen(0, "127.0.0.1");
  await new Promise((resolve) => web.once("listening", resolve));
  return { url: `http://127.0.0.1:${web.address().port}` };
}

async function call(server, method, target, body, status = 200) {
  const answer = await server.raw(method, target, body);
  assert.equal(answer.status, status, `${method} ${target}: ${answer.text}`);
  return answer.json;
}

// The model gives the work away in these words, and reads what comes back.
const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
const giving = (agent, task) =>
  "root ::= " + quoted(`<tool_call>\n${JSON.stringify({ name: "delegate_to", arguments: { agent, task } })}\n</tool_call>`).replaceAll("\n", "\\n");
async function delegated(server, from, to, task) {
  const done = await call(server, "POST", `/v1/agents/${from}/run`, { prompt: "Go on.", grammar: giving(to, task), max_tokens: 300, limits: { steps: 2 } });
  assert.deepEqual(done.steps.map((step) => step.kind), ["answer", "delegation", "answer"], JSON.stringify(done));
  return done.steps[1];
}

describe("two servers", () => {
  const kHere = { told: "The access code for server Kestrel is KRWQZ.", asked: "What is the access code for server Kestrel?", known: /KRWQZ/ };
  const kThere = { told: "My code word is zarimo.", asked: "What is my code word?", known: /zarimo/ };
  let here, there;

  // One that can be reached at this port, and gives work to an agent of the other one.
  async function pair(port, otherPort, colleague) {
    const file = path.join(folder, `to-${colleague}.json`);
    await writeFile(file, JSON.stringify({ a2aAgents: { [colleague]: { url: `http://127.0.0.1:${otherPort}/a2a/agents/${colleague}` } } }));
    return started(["--port", port, "--mcp-config", file]);
  }
  // Each gives work to the other one while that one does the same: what came of it, here and there.
  const bothWays = (part) => Promise.all([delegated(here, "chief", "keeper", kHere[part]), delegated(there, "scout", "clerk", kThere[part])]);

  before(async () => {
    const [herePort, therePort] = await freePorts(2);
    here = await pair(herePort, therePort, "keeper");
    there = await pair(therePort, herePort, "clerk");
    const remembers = { system_prompt: "You remember what you are told." };
    await call(here, "POST", "/v1/agents", { id: "clerk", description: "Keeps the words.", ...remembers }, 201);
    await call(here, "POST", "/v1/agents", { id: "chief", system_prompt: "You lead.", card: { colleagues: ["keeper"] } }, 201);
    await call(there, "POST", "/v1/agents", { id: "keeper", description: "Keeps the codes.", ...remembers }, 201);
    await call(there, "POST", "/v1/agents", { id: "scout", system_prompt: "You go ahead.", card: { colleagues: ["clerk"] } }, 201);
  });

  test("give each other work at once; each agent keeps its memory, and what comes back carries the trace, also after kill -9 of both", async () => {
    for (const [server, name, description] of [[here, "keeper", "Keeps the codes."], [there, "clerk", "Keeps the words."]]) {
      const { agents } = await call(server, "GET", "/v1/tools");
      assert.deepEqual(agents.map((one) => [one.name, one.description, one.trouble]), [[name, description, null]]);
    }

    const told = await bothWays("told");
    for (const [n, to] of ["keeper", "clerk"].entries()) {
      assert.equal(told[n].to, to);
      assert.equal(told[n].failed, false, told[n].output);
      const [first] = told[n].steps;
      assert.equal(first.kind, "answer");
      assert.match(first.agent, /^a2a-/, "a memory of this conversation alone");
    }

    await there.kill();
    await here.kill();
    await Promise.all([there.run(), here.run()]);
    const asked = await bothWays("asked");
    for (const [n, { known }] of [kHere, kThere].entries()) {
      assert.match(asked[n].output, known);
      const [first] = told[n].steps;
      const [second] = asked[n].steps;
      assert.equal(second.agent, first.agent);
      assert.ok(second.cached_tokens >= first.prompt_tokens - 1, `${second.cached_tokens} of ${second.prompt_tokens}`);
    }

    await there.kill();
    const lost = await delegated(here, "chief", "keeper", "Are you there?");
    assert.equal(lost.failed, true);
    assert.match(lost.output, /keeper could not be asked: .*could not be reached/);
  });
});

describe("agents of the official packages", () => {
  // Says what it was asked, in two pieces, and counts the tasks of a context.
  class Echo {
    seen = new Map();
    constructor(asksFirst = false) {
      this.asksFirst = asksFirst;
    }
    async execute({ userMessage, taskId, contextId, task }, bus) {
      const count = (this.seen.get(contextId) ?? 0) + 1;
      this.seen.set(contextId, count);
      const said = userMessage.parts[0].content.value;
      bus.publish(AgentEvent.task(task ?? Task.fromJSON({ id: taskId, contextId, status: { state: "TASK_STATE_SUBMITTED" } })));
      const status = (state, text) =>
        AgentEvent.statusUpdate(TaskStatusUpdateEvent.fromJSON({
          taskId, contextId,
          status: { state, ...(text ? { message: { messageId: "s", role: "ROLE_AGENT", parts: [{ text }] } } : {}) },
        }));
      if (this.asksFirst && !task) {
        bus.publish(status("TASK_STATE_INPUT_REQUIRED", "Which ferry?"));
        return bus.finished();
      }
      const piece = (text, append) =>
        AgentEvent.artifactUpdate(TaskArtifactUpdateEvent.fromJSON({ taskId, contextId, append, lastChunk: append, artifact: { artifactId: "a", parts: [{ text }] } }));
      bus.publish(status("TASK_STATE_WORKING"));
      bus.publish(piece(`${count}: `, false));
      await new Promise((resolve) => setTimeout(resolve, 50));
      bus.publish(piece(said, true));
      bus.publish(status("TASK_STATE_COMPLETED"));
      bus.finished();
    }
    cancelTask = async () => {};
  }

  async function serving(executor, binding, streaming) {
    const app = express();
    const web = await listening(app);
    const card = AgentCard.fromJSON({
      name: "echo", description: "Says it again.", version: "1", capabilities: { streaming }, defaultInputModes: ["text/plain"], defaultOutputModes: ["text/plain"],
      skills: [], supportedInterfaces: [{ url: `${web.url}/${binding}`, protocolBinding: binding, protocolVersion: "1.0" }],
    });
    const requestHandler = new DefaultRequestHandler(card, new InMemoryTaskStore(), executor);
    const options = { requestHandler, userBuilder: UserBuilder.noAuthentication };
    app.use("/.well-known/agent-card.json", agentCardHandler({ agentCardProvider: requestHandler }));
    app.use("/JSONRPC", jsonRpcHandler(options));
    app.use("/HTTP\\+JSON", restHandler(options));
    return web;
  }

  let here;
  before(async () => {
    await configure({});
    here = await started(["--mcp-config", config]);
  });
  async function colleague(name, web) {
    await configure({ [name]: { url: web.url } });
    await here.kill();
    await here.run();
    const id = `chief-${name}`;
    await call(here, "POST", "/v1/agents", { id, card: { colleagues: [name] } }, 201);
    return id;
  }

  for (const binding of ["JSONRPC", "HTTP+JSON"]) {
    for (const streaming of [true, false]) {
      test(`1.0 over ${binding}, ${streaming ? "with" : "without"} streams`, async () => {
        const web = await serving(new Echo(), binding, streaming);
        const name = `echo-${binding === "JSONRPC" ? "rpc" : "rest"}-${streaming}`;
        const chief = await colleague(name, web);
        assert.equal((await delegated(here, chief, name, "hello")).output, "1: hello");
        assert.equal((await delegated(here, chief, name, "again")).output, "2: again", "the same context");
      });
    }
  }

  test("0.3", async () => {
    const executor = {
      async execute({ userMessage, contextId }, bus) {
        bus.publish({ kind: "message", messageId: "m", role: "agent", contextId, parts: [{ kind: "text", text: `heard ${userMessage.parts[0].text}` }] });
        bus.finished();
      },
      cancelTask: async () => {},
    };
    const app = express();
    const web = await listening(app);
    const card = {
      name: "old", description: "Speaks 0.3.", version: "1", protocolVersion: "0.3.0", url: `${web.url}/rpc`, preferredTransport: "JSONRPC",
      capabilities: { streaming: true }, defaultInputModes: ["text"], defaultOutputModes: ["text"], skills: [],
    };
    const requestHandler = new RequestHandler03(card, new TaskStore03(), executor);
    app.use("/.well-known/agent-card.json", cardHandler03({ agentCardProvider: requestHandler }));
    app.use("/rpc", rpcHandler03({ requestHandler, userBuilder: UserBuilder03.noAuthentication }));
    const chief = await colleague("old", web);
    assert.equal((await delegated(here, chief, "old", "hello")).output, "heard hello");
  });

  test("one that asks back is answered in its task", async () => {
    const web = await serving(new Echo(true), "JSONRPC", true);
    const chief = await colleague("asking", web);
    assert.match((await delegated(here, chief, "asking", "When does it leave?")).output, /^asking asks back: Which ferry\?/);
    assert.equal((await delegated(here, chief, "asking", "The one to Oslo.")).output, "2: The one to Oslo.");
  });

  // In between is an agent that gives the work back to whoever gave it, as it came.
  test("a circle over servers is seen", async () => {
    let chain;
    const web = await listening(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      response.setHeader("content-type", "application/json");
      if (request.method === "GET") {
        const card = { name: "between", description: "Hands on.", supportedInterfaces: [{ url: "/rpc", protocolBinding: "JSONRPC", protocolVersion: "1.0" }] };
        return response.end(JSON.stringify(card));
      }
      const { metadata } = JSON.parse(body).params.message;
      chain = metadata.engram.chain;
      const message = { messageId: "m", role: "ROLE_USER", parts: [{ text: "Do it." }], metadata: { engram: { chain: [...chain, "elsewhere/between"] } } };
      const back = await here.raw("POST", "/a2a/agents/chief-between", { jsonrpc: "2.0", id: 1, method: "SendMessage", params: { message } }, { "a2a-version": "1.0" });
      const said = { messageId: "x", role: "ROLE_AGENT", parts: [{ text: back.json.error.message }] };
      response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result: { message: said } }));
    });
    const chief = await colleague("between", web);
    const { output } = await delegated(here, chief, "between", "Do it.");
    assert.match(output, /chief-between waits for this answer already \(chief-between > elsewhere\/between > chief-between\)/);
    assert.match(chain[0], /^home-.*\/default\/chief-between$/);
  });
});

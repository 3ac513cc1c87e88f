// The official A2A client, in its versions for 1.0 and for 0.3, against the server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { ListTasksRequest, SendMessageRequest, taskStateToJSON } from "@a2a-js/sdk";
import { ClientFactory, ClientFactoryOptions, JsonRpcTransportFactory, RestTransportFactory } from "@a2a-js/sdk/client";
import { ClientFactory as ClientFactory03 } from "a2a-js-sdk-0-3/client";

import { kTold, Server } from "./server.mjs";

let server;
before(async () => {
  server = await Server.start(["--a2a-private-hooks"]);
});
after(() => server.stop());

async function clientOf(transport, path) {
  const transports = transport === "JSONRPC" ? [new JsonRpcTransportFactory()] : [new RestTransportFactory()];
  const factory = new ClientFactory(ClientFactoryOptions.createFrom(ClientFactoryOptions.default, { transports, preferredTransports: [transport] }));
  return factory.createFromUrl(server.url, path);
}

function message(text, members = {}, configuration = undefined) {
  return SendMessageRequest.fromJSON({
    message: { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text }], ...members },
    ...(configuration ? { configuration } : {}),
  });
}

const state = (task) => taskStateToJSON(task.status.state);
const text = (task) => task.artifacts[0].parts.map((part) => part.content.value).join("");

for (const transport of ["JSONRPC", "HTTP+JSON"]) {
  describe(`A2A 1.0 over ${transport}`, () => {
    let client;
    before(async () => {
      client = await clientOf(transport);
    });

    test("the card says what the server can", async () => {
      const card = await client.getAgentCard();
      assert.equal(card.name, "Engram");
      assert.equal(card.capabilities.streaming, true);
    });

    test("a message becomes a task with an answer, and the task is found again", async () => {
      const task = await client.sendMessage(message("The port of server Kestrel is 8471."));
      assert.equal(state(task), "TASK_STATE_COMPLETED");
      assert.match(text(task), /^Noted\./);
      assert.equal(task.history.length, 1);
      const again = await client.getTask({ id: task.id });
      assert.deepEqual(again, task);
      const { tasks, totalSize } = await client.listTasks(ListTasksRequest.fromJSON({ contextId: task.contextId }));
      assert.equal(totalSize, 1);
      assert.equal(tasks[0].id, task.id);
    });

    test("a context remembers, a new one doesn't", async () => {
      const told = await client.sendMessage(message("My code word is zarimo."));
      const asked = await client.sendMessage(message("What is my code word?", { contextId: told.contextId }));
      assert.match(text(asked), /zarimo/);
      const other = await client.sendMessage(message("What is my code word?"));
      assert.notEqual(other.contextId, told.contextId);
      assert.doesNotMatch(text(other), /zarimo/);
    });

    test("a stream brings the task, its answer in pieces, and its end", async () => {
      const events = [];
      for await (const event of client.sendMessageStream(message("My code word is zarimo."))) events.push(event.payload);
      assert.equal(events[0].$case, "task");
      assert.equal(state(events.at(-1).value), "TASK_STATE_COMPLETED");
      const pieces = events.filter((event) => event.$case === "artifactUpdate").map((event) => event.value);
      assert.ok(pieces.length > 1);
      assert.equal(pieces.at(-1).lastChunk, true);
      const task = await client.getTask({ id: events[0].value.id });
      assert.equal(pieces.map((piece) => piece.artifact.parts[0].content.value).join(""), text(task));
    });

    test("a task that isn't waited for is watched and cancelled", async () => {
      const long = message("Count: " + "one two three ".repeat(150), {}, { returnImmediately: true });
      const task = await client.sendMessage(long);
      const states = [];
      const watching = (async () => {
        for await (const { payload } of client.resubscribeTask({ id: task.id })) {
          if (payload.value.status) states.push(state(payload.value));
        }
      })();
      // It may be over before it is cancelled, or watched.
      const [cancelled] = await Promise.allSettled([client.cancelTask({ id: task.id }), watching]);
      const end = await client.getTask({ id: task.id });
      assert.equal(state(end), cancelled.status === "fulfilled" ? "TASK_STATE_CANCELED" : "TASK_STATE_COMPLETED");
      if (states.length > 0) assert.equal(states.at(-1), state(end));
    });

    test("errors are the client's own classes", async () => {
      await assert.rejects(client.getTask({ id: "nothing" }), (error) => error.name === "TaskNotFoundError");
      const done = await client.sendMessage(message("Hello."));
      await assert.rejects(client.cancelTask({ id: done.id }), (error) => error.name === "TaskNotCancelableError");
      await assert.rejects(client.sendMessage(message("More.", { taskId: done.id })), (error) => error.name === "UnsupportedOperationError");
    });

    test("webhooks are told of a task's end", async () => {
      const told = [];
      const hook = createServer(async (request, response) => {
        let body = "";
        for await (const chunk of request) body += chunk;
        told.push({ headers: request.headers, body: JSON.parse(body) });
        response.end();
        if (body.includes("TASK_STATE_COMPLETED")) hook.emit("told");
      });
      hook.listen(0, "127.0.0.1");
      await once(hook, "listening");
      const completed = once(hook, "told");
      const url = `http://127.0.0.1:${hook.address().port}/hook`;
      const config = { url, token: "k", authentication: { scheme: "Bearer", credentials: "s" } };
      const task = await client.sendMessage(message("Hello.", {}, { taskPushNotificationConfig: config }));
      await completed;
      hook.close();
      assert.equal(told.at(-1).headers.authorization, "Bearer s");
      assert.equal(told.at(-1).headers["x-a2a-notification-token"], "k");
      assert.equal(told.at(-1).body.statusUpdate.taskId, task.id);
      const { configs } = await client.listTaskPushNotificationConfig({ taskId: task.id, pageSize: 0, pageToken: "" });
      assert.equal(configs[0].url, url);
    });
  });
}

describe("an agent's own address", () => {
  test("has the agent's card, and contexts that begin where the agent is", async () => {
    const card = { skills: [{ id: "servers", name: "Servers", tags: ["ops"] }] };
    await server.raw("POST", "/v1/agents", { id: "ops", description: "Knows the servers.", card });
    await server.raw("POST", "/v1/agents/ops/turn", { prompt: "The access code for server Kestrel is KRWQZ.", max_tokens: 40 });
    const client = await clientOf("HTTP+JSON", "/a2a/agents/ops/.well-known/agent-card.json");
    assert.equal((await client.getAgentCard()).skills[0].id, "servers");
    const task = await client.sendMessage(message("What is the access code for server Kestrel?"));
    assert.match(text(task), /KRWQZ/, "what the agent knew before");
    const transcript = (await server.raw("GET", "/v1/agents/ops/transcript")).json.messages;
    assert.equal(transcript.length, 2, "the context's talk isn't the agent's");
  });
});

describe("A2A 0.3", () => {
  test("its client finds the server and talks to it", async () => {
    const client = await new ClientFactory03().createFromUrl(server.url);
    const said = { kind: "message", messageId: randomUUID(), role: "user", parts: [{ kind: "text", text: "My code word is zarimo." }] };
    const task = await client.sendMessage({ message: said });
    assert.equal(task.kind, "task");
    assert.equal(task.status.state, "completed");
    const kinds = [];
    let answer = "";
    const asks = { ...said, messageId: randomUUID(), contextId: task.contextId, parts: [{ kind: "text", text: "What is my code word?" }] };
    for await (const event of client.sendMessageStream({ message: asks })) {
      kinds.push(event.kind);
      if (event.kind === "artifact-update") answer += event.artifact.parts[0].text;
    }
    assert.equal(kinds[0], "task");
    assert.equal(kinds.at(-1), "status-update");
    assert.match(answer, /zarimo/);
    assert.equal((await client.getTask({ id: task.id })).status.state, "completed");
  });
});

describe("after kill -9", () => {
  test("tasks are there, and a context's next task reads only what is new", async () => {
    const client = await clientOf("JSONRPC");
    const first = await client.sendMessage(message(kTold));
    assert.equal(state(first), "TASK_STATE_COMPLETED");
    const long = await client.sendMessage(message("Count: " + "one two three ".repeat(400), {}, { returnImmediately: true }));
    const memory = first.metadata.engram.agent;
    await server.raw("POST", `/v1/agents/${memory}/save`);
    await server.kill();
    await server.run();
    const again = await clientOf("JSONRPC");
    assert.deepEqual(await again.getTask({ id: first.id }), first);
    const lost = await again.getTask({ id: long.id });
    assert.match(state(lost), /FAILED|COMPLETED/);
    const second = await again.sendMessage(message("What is my code word?", { contextId: first.contextId }));
    assert.match(text(second), /zarimo/);
    const { cachedTokens, promptTokens, tier } = second.metadata.engram;
    assert.equal(tier, "disk");
    assert.ok(cachedTokens > 0.8 * promptTokens, `${cachedTokens} of ${promptTokens}`);
  });
});

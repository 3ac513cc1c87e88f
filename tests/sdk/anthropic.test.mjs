// Anthropic's package against the server.
import Anthropic from "@anthropic-ai/sdk";
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { kTold, Server, weather } from "./server.mjs";

const kModel = "engram-nano";
let server, client;

before(async () => {
  server = await Server.start();
  client = new Anthropic({ baseURL: server.url, apiKey: "any", maxRetries: 0 });
});
after(() => server.stop());

const kUser = [{ role: "user", content: kTold + "What is my code word?" }];
const kTool = { name: "get_weather", description: "The weather of a city", input_schema: weather };

function total(usage) {
  return usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
}

// Rejects with the SDK's own class, and the documented body.
async function refused(promise, status, type, words) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof Anthropic.APIError, String(error));
    assert.equal(error.status, status);
    assert.equal(error.error.type, "error");
    assert.equal(error.error.error.type, type);
    assert.match(error.error.error.message, words);
    assert.match(error.error.request_id, /./);
    assert.equal(error.requestID, error.error.request_id);
    return true;
  });
}

describe("messages", () => {
  test("answers", async () => {
    const message = await client.messages.create({ model: kModel, max_tokens: 40, messages: kUser });
    assert.match(message.id, /^msg_/);
    assert.equal(message.type, "message");
    assert.equal(message.role, "assistant");
    assert.equal(message.model, kModel);
    assert.equal(message.content[0].type, "text");
    assert.ok(["end_turn", "max_tokens"].includes(message.stop_reason));
    assert.equal(message.stop_sequence, null);
    assert.ok(message.usage.output_tokens > 0);
  });

  test("streams the same, event by event", async () => {
    const request = { model: kModel, max_tokens: 40, system: "You are a technical assistant.", messages: kUser };
    const whole = await client.messages.create(request);
    const events = [];
    const stream = client.messages.stream(request).on("streamEvent", (event) => events.push(event.type));
    const message = await stream.finalMessage();
    assert.deepEqual(message.content, whole.content);
    assert.equal(message.stop_reason, whole.stop_reason);
    assert.equal(total(message.usage), total(whole.usage));
    assert.equal(events[0], "message_start");
    assert.equal(events.at(-1), "message_stop");
    assert.equal(events.at(-2), "message_delta");
    assert.ok(events.indexOf("content_block_start") < events.indexOf("content_block_delta"));
  });

  test("counts what was read before, and adds up", async () => {
    const system = "You keep notes. " + "The budget is low. ".repeat(60);
    const first = await client.messages.create({ model: kModel, max_tokens: 30, system, messages: kUser });
    assert.equal(first.usage.cache_read_input_tokens, 0);
    const messages = [...kUser, { role: "assistant", content: first.content }, { role: "user", content: "Thank you." }];
    const counted = await client.messages.countTokens({ model: kModel, system, messages });
    const second = await client.messages.create({ model: kModel, max_tokens: 30, system, messages });
    assert.equal(total(second.usage), counted.input_tokens);
    const read = total(first.usage) + first.usage.output_tokens;
    assert.ok(second.usage.cache_read_input_tokens >= read - 1, JSON.stringify([first.usage, second.usage]));
  });

  test("reports memory in headers", async () => {
    const { data, response } = await client.messages
      .create({ model: kModel, max_tokens: 8, messages: kUser }, { headers: { "x-engram-agent": "noted" } })
      .withResponse();
    assert.equal(response.headers.get("x-engram-agent"), "noted");
    assert.equal(Number(response.headers.get("x-engram-prompt-tokens")), total(data.usage));
    assert.equal(Number(response.headers.get("x-engram-cached-tokens")), data.usage.cache_read_input_tokens);
    assert.ok(response.headers.get("request-id"));
  });

  test("stops at a stop sequence", async () => {
    const base = { model: kModel, max_tokens: 60, messages: kUser };
    const said = (await client.messages.create(base)).content[0].text;
    const stop = said.slice(5, 9);
    const message = await client.messages.create({ ...base, stop_sequences: ["never said", stop] });
    assert.equal(message.stop_reason, "stop_sequence");
    assert.equal(message.stop_sequence, stop);
    assert.equal(message.content[0]?.text ?? "", said.slice(0, said.indexOf(stop)));
  });

  test("goes on with a begun answer", async () => {
    const message = await client.messages.create({
      model: kModel,
      max_tokens: 20,
      messages: [...kUser, { role: "assistant", content: "Your code word is" }],
    });
    assert.ok(message.content.length > 0);
  });

  test("warms a prompt", async () => {
    const messages = [{ role: "user", content: "A new one. " + "Plans were made in the morning. ".repeat(40) }];
    const warmed = await client.messages.create({ model: kModel, max_tokens: 0, messages });
    assert.equal(warmed.usage.output_tokens, 0);
    const asked = await client.messages.create({ model: kModel, max_tokens: 4, messages });
    assert.ok(asked.usage.cache_read_input_tokens >= total(warmed.usage) - 1, JSON.stringify(asked.usage));
  });
});

describe("tools", () => {
  const forced = {
    model: kModel,
    max_tokens: 200,
    tools: [kTool],
    tool_choice: { type: "tool", name: "get_weather", disable_parallel_tool_use: true },
    messages: [{ role: "user", content: "How is the weather in Lisbon?" }],
  };

  function check(message) {
    assert.equal(message.stop_reason, "tool_use");
    assert.deepEqual(message.content.map((block) => block.type), ["tool_use"]);
    const call = message.content[0];
    assert.match(call.id, /^toolu_/);
    assert.equal(call.name, "get_weather");
    assert.ok(weather.properties.city.enum.includes(call.input.city));
    assert.ok(weather.properties.days.enum.includes(call.input.days));
  }

  test("a forced one is called, and nothing else is said", async () => {
    check(await client.messages.create(forced));
    check(await client.messages.create({ ...forced, tool_choice: { type: "any", disable_parallel_tool_use: true } }));
  });

  test("its arguments stream", async () => {
    const pieces = [];
    const stream = client.messages.stream(forced).on("inputJson", (piece) => pieces.push(piece));
    check(await stream.finalMessage());
    assert.ok(pieces.length > 1);
  });

  test("its result is read, and the call isn't read again", async () => {
    const called = await client.messages.create(forced);
    const messages = [
      ...forced.messages,
      { role: "assistant", content: called.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: called.content[0].id, content: "21 degrees" }] },
    ];
    const answered = await client.messages.create({ ...forced, tool_choice: { type: "none" }, messages });
    assert.ok(answered.content.every((block) => block.type === "text"));
    const read = total(called.usage) + called.usage.output_tokens;
    assert.ok(answered.usage.cache_read_input_tokens >= read - 1, JSON.stringify([called.usage, answered.usage]));
  });
});

describe("models", () => {
  test("are listed and found", async () => {
    const list = await client.models.list();
    assert.deepEqual(list.data.map((model) => model.id), [kModel]);
    assert.equal((await client.models.retrieve(kModel)).type, "model");
    await refused(client.models.retrieve("nobody"), 404, "not_found_error", /nobody/);
  });
});

describe("refuses", () => {
  const good = { model: kModel, max_tokens: 8, messages: [{ role: "user", content: "Hello" }] };

  test("wrong requests, also streamed ones", async () => {
    for (const stream of [false, true]) {
      const ask = (change) => client.messages.create({ ...good, stream, ...change });
      await refused(ask({ max_tokens: undefined }), 400, "invalid_request_error", /max_tokens/);
      await refused(ask({ messages: [] }), 400, "invalid_request_error", /messages/);
      await refused(ask({ messages: [{ role: "robot", content: "x" }] }), 400, "invalid_request_error", /role/);
      await refused(ask({ tool_choice: { type: "tool", name: "none" } }), 400, "invalid_request_error", /tool/);
      await refused(ask({ model: "unknown-1" }), 404, "not_found_error", /unknown-1/);
      const orphan = [{ role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_x", content: "1" }] }];
      await refused(ask({ messages: orphan }), 400, "invalid_request_error", /toolu_x/);
      const endless = [{ role: "user", content: "word ".repeat(20000) }];
      await refused(ask({ messages: endless }), 400, "invalid_request_error", /prompt is too long: \d+ tokens > \d+ maximum/);
    }
  });

  test("what isn't JSON, and paths and methods that aren't there", async () => {
    const headers = { "anthropic-version": "2023-06-01" };
    const broken = await server.raw("POST", "/v1/messages", "{\"model\":", headers);
    assert.deepEqual([broken.status, broken.json.error.type], [400, "invalid_request_error"]);
    const nowhere = await server.raw("POST", "/v1/nowhere", {}, headers);
    assert.deepEqual([nowhere.status, nowhere.json.error.type], [404, "not_found_error"]);
    const method = await server.raw("GET", "/v1/messages", undefined, headers);
    assert.deepEqual([method.status, method.json.type], [405, "error"]);
    assert.match(method.headers.get("allow"), /POST/);
  });
});

test("unknown fields and headers change nothing", async () => {
  const message = await client.messages.create(
    { model: kModel, max_tokens: 8, messages: kUser, context_management: { edits: [] }, something_new: { a: 1 } },
    { headers: { "anthropic-beta": "interleaved-thinking-2025-05-14,not-there-yet" } },
  );
  assert.equal(message.type, "message");
});

test("a killed server's memory is there when it starts again", async () => {
  const own = await Server.start();
  try {
    const one = new Anthropic({ baseURL: own.url, apiKey: "any", maxRetries: 0 });
    const system = "x-anthropic-billing-header: cc_version=2.1.329; cch=1a2b3;\nYou keep notes. " + "It rains. ".repeat(200);
    const first = await one.messages.create({ model: kModel, max_tokens: 20, system, messages: kUser });
    await new Promise((resolve) => setTimeout(resolve, 1500)); // KV is written in the background
    await own.kill();
    await own.run();
    const again = new Anthropic({ baseURL: own.url, apiKey: "any", maxRetries: 0 });
    const messages = [...kUser, { role: "assistant", content: first.content }, { role: "user", content: "Go on." }];
    const { data, response } = await again.messages
      .create({ model: kModel, max_tokens: 20, system: system.replace("1a2b3", "9f8e7"), messages })
      .withResponse();
    const read = total(first.usage) + first.usage.output_tokens;
    assert.ok(data.usage.cache_read_input_tokens >= 0.98 * read, JSON.stringify([first.usage, data.usage]));
    assert.equal(response.headers.get("x-engram-tier"), "disk");
  } finally {
    await own.stop();
  }
});

// OpenAI's package against the server.
import OpenAI from "openai";
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { kTold, Server, weather } from "./server.mjs";

const kModel = "engram-nano";
let server, client;

before(async () => {
  server = await Server.start();
  client = new OpenAI({ baseURL: server.url + "/v1", apiKey: "any", maxRetries: 0 });
});
after(() => server.stop());

const kMessages = [
  { role: "system", content: "You are a technical assistant. " + "The server is old. ".repeat(40) },
  { role: "user", content: kTold + "What is my code word?" },
];
const kTools = [{ type: "function", function: { name: "get_weather", description: "The weather", parameters: weather } }];

async function refused(promise, status, { type = "invalid_request_error", code, param, words = /./ }) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.equal(error.status, status);
    assert.equal(error.type, type);
    if (code !== undefined) assert.equal(error.code, code);
    if (param !== undefined) assert.equal(error.param, param);
    assert.match(error.error.message, words);
    return true;
  });
}

describe("chat completions", () => {
  const base = { model: kModel, messages: kMessages, max_tokens: 40 };

  test("answers, and streams the same", async () => {
    const whole = await client.chat.completions.create(base);
    assert.match(whole.id, /^chatcmpl-/);
    assert.equal(whole.object, "chat.completion");
    const streamed = await client.chat.completions
      .stream({ ...base, stream_options: { include_usage: true } })
      .finalChatCompletion();
    assert.equal(streamed.choices[0].message.content, whole.choices[0].message.content);
    assert.equal(streamed.choices[0].finish_reason, whole.choices[0].finish_reason);
    assert.equal(streamed.usage.prompt_tokens, whole.usage.prompt_tokens);
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  });

  test("tells what was cached", async () => {
    const own = [{ role: "user", content: "Notes. " + "The train is late. ".repeat(60) }];
    const first = await client.chat.completions.create({ ...base, messages: own });
    assert.equal(first.usage.prompt_tokens_details.cached_tokens, 0);
    const next = [...own, first.choices[0].message, { role: "user", content: "Thank you." }];
    const second = await client.chat.completions.create({ ...base, messages: next, prompt_cache_key: "k" });
    assert.ok(second.usage.prompt_tokens_details.cached_tokens >= first.usage.total_tokens - 1, JSON.stringify(second.usage));
  });

  test("calls a forced tool with valid arguments", async () => {
    const ask = { ...base, tools: kTools, parallel_tool_calls: false, max_tokens: 200 };
    for (const tool_choice of ["required", { type: "function", function: { name: "get_weather" } }]) {
      const { choices } = await client.chat.completions.create({ ...ask, tool_choice });
      const [call] = choices[0].message.tool_calls;
      assert.match(call.id, /^call_/);
      assert.ok(weather.properties.city.enum.includes(JSON.parse(call.function.arguments).city));
      const streamed = await client.chat.completions.stream({ ...ask, tool_choice }).finalChatCompletion();
      assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
      const next = [...kMessages, choices[0].message, { role: "tool", tool_call_id: call.id, content: "21 degrees" }];
      const answered = await client.chat.completions.create({ ...ask, messages: next, tool_choice: "none" });
      assert.equal(answered.choices[0].finish_reason === "tool_calls", false);
      assert.ok(answered.usage.prompt_tokens_details.cached_tokens > 100);
    }
  });

  test("keeps to a format", async () => {
    const json = await client.chat.completions.create({ ...base, max_tokens: 120, response_format: { type: "json_object" } });
    if (json.choices[0].finish_reason === "stop") JSON.parse(json.choices[0].message.content);
    const schema = { type: "object", properties: { n: { type: "integer", enum: [1, 2] } }, required: ["n"], additionalProperties: false };
    const strict = await client.chat.completions.create({
      ...base,
      max_tokens: 60,
      response_format: { type: "json_schema", json_schema: { name: "x", schema, strict: true } },
    });
    assert.ok([1, 2].includes(JSON.parse(strict.choices[0].message.content).n));
  });

  test("gives several choices, seeded ones again", async () => {
    const ask = { ...base, n: 3, temperature: 1.5, seed: 7, max_tokens: 12 };
    const one = await client.chat.completions.create(ask);
    assert.deepEqual(one.choices.map((choice) => choice.index), [0, 1, 2]);
    const two = await client.chat.completions.create(ask);
    assert.deepEqual(two.choices.map((c) => c.message.content), one.choices.map((c) => c.message.content));
  });

  test("gives log probabilities", async () => {
    const { choices } = await client.chat.completions.create({ ...base, logprobs: true, top_logprobs: 2 });
    const tokens = choices[0].logprobs.content;
    assert.equal(tokens.map((token) => token.token).join(""), choices[0].message.content);
    assert.ok(tokens.every((token) => token.top_logprobs.length === 2 && token.logprob <= 0));
  });

  test("obeys stop and logit_bias", async () => {
    const said = (await client.chat.completions.create(base)).choices[0].message.content;
    const stop = said.slice(5, 9);
    const stopped = await client.chat.completions.create({ ...base, stop });
    assert.equal(stopped.choices[0].message.content, said.slice(0, said.indexOf(stop)));
    assert.equal(stopped.choices[0].finish_reason, "stop");
  });

  test("stops when its client goes, and finds again what was read", async () => {
    const messages = [{ role: "user", content: "Long. " + "The road is closed for repairs. ".repeat(250) }];
    const stream = await client.chat.completions.create({ ...base, messages, stream: true }, { signal: AbortSignal.timeout(400) }).catch((error) => error);
    assert.ok(stream);
    const again = await client.chat.completions.create({ ...base, messages, max_tokens: 4 });
    assert.ok(again.usage.completion_tokens > 0);
  });
});

describe("responses", () => {
  const base = { model: kModel, instructions: "You are brief.", input: kTold, max_output_tokens: 40 };

  test("answers, streams the same, and goes on by id", async () => {
    const first = await client.responses.create(base);
    assert.equal(first.object, "response");
    assert.ok(["completed", "incomplete"].includes(first.status));
    const events = [];
    let last;
    for await (const event of await client.responses.create({ ...base, stream: true })) {
      events.push(event);
      if (event.response !== undefined) last = event.response;
    }
    assert.equal(events[0].type, "response.created");
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, i) => i));
    assert.equal(last.output_text ?? last.output[0].content[0].text, first.output_text);
    const next = await client.responses.create({ ...base, input: "What is my code word?", previous_response_id: first.id });
    assert.equal(next.previous_response_id, first.id);
    assert.ok(next.usage.input_tokens_details.cached_tokens >= first.usage.total_tokens - 1, JSON.stringify(next.usage));
  });

  test("keeps responses, and forgets them when it is told to", async () => {
    const made = await client.responses.create(base);
    const kept = await client.responses.retrieve(made.id);
    assert.equal(kept.output_text, made.output_text);
    const items = await client.responses.inputItems.list(made.id);
    assert.equal(items.data[0].role, "user");
    await client.responses.delete(made.id);
    await refused(client.responses.retrieve(made.id), 404, { words: /not found/ });
    await refused(client.responses.create({ ...base, previous_response_id: "resp_none" }), 400, { param: "previous_response_id" });
    const unkept = await client.responses.create({ ...base, store: false });
    await refused(client.responses.retrieve(unkept.id), 404, {});
  });

  test("calls functions", async () => {
    const tools = [{ type: "function", name: "get_weather", parameters: weather, strict: true }];
    const input = [{ role: "user", content: "How is the weather in Oslo?" }];
    const called = await client.responses.create({ ...base, input, tools, tool_choice: "required", parallel_tool_calls: false, max_output_tokens: 200 });
    const call = called.output.find((item) => item.type === "function_call");
    assert.equal(call.name, "get_weather");
    const result = { type: "function_call_output", call_id: call.call_id, output: "21 degrees" };
    const answered = await client.responses.create({ ...base, tools, previous_response_id: called.id, input: [result], tool_choice: "none" });
    assert.ok(answered.usage.input_tokens_details.cached_tokens > 0);
  });

  test("counts tokens", async () => {
    const counted = await server.raw("POST", "/v1/responses/input_tokens", base);
    const answered = await client.responses.create(base);
    assert.equal(counted.json.input_tokens, answered.usage.input_tokens);
  });
});

describe("the rest", () => {
  test("completions", async () => {
    const ask = { model: kModel, prompt: ["The meeting is", "My name is"], max_tokens: 8, n: 2 };
    const whole = await client.completions.create(ask);
    assert.deepEqual(whole.choices.map((choice) => choice.index), [0, 1, 2, 3]);
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...ask, prompt: "The meeting is", n: 1, stream: true })) {
      streamed += chunk.choices[0]?.text ?? "";
    }
    assert.equal(streamed, whole.choices[0].text);
  });

  test("models", async () => {
    assert.deepEqual((await client.models.list()).data.map((model) => model.id), [kModel]);
    assert.equal((await client.models.retrieve(kModel)).object, "model");
    await refused(client.models.retrieve("nobody"), 404, { code: "model_not_found" });
  });

  test("embeddings are refused by a model that makes none", async () => {
    await assert.rejects(client.embeddings.create({ model: kModel, input: "x" }), (error) => error.status === 501);
  });

  test("health and metrics", async () => {
    assert.equal((await server.raw("GET", "/health/live")).status, 200);
    assert.equal((await server.raw("GET", "/health/ready")).json.status, "ok");
    const metrics = await server.raw("GET", "/metrics");
    assert.match(metrics.text, /engram_prompt_tokens_total\{[^}]*source="hot"/);
    assert.match(metrics.text, /engram_time_to_first_token_seconds_bucket/);
    assert.doesNotMatch(metrics.text, /zarimo/);
  });
});

describe("refuses", () => {
  const good = { model: kModel, messages: [{ role: "user", content: "Hello" }] };

  test("wrong requests, also streamed ones", async () => {
    for (const stream of [false, true]) {
      const ask = (change) => client.chat.completions.create({ ...good, stream, ...change });
      await refused(ask({ messages: [] }), 400, { param: "messages" });
      await refused(ask({ messages: [{ role: "robot", content: "x" }] }), 400, { param: "messages[0].role" });
      await refused(ask({ model: "unknown-1" }), 404, { code: "model_not_found", words: /unknown-1/ });
      await refused(ask({ temperature: "hot" }), 400, { param: "temperature" });
      await refused(ask({ tool_choice: "required" }), 400, { param: "tool_choice" });
      await refused(ask({ messages: [{ role: "user", content: "word ".repeat(20000) }] }), 400, { code: "context_length_exceeded" });
    }
  });

  test("what isn't JSON, and paths and methods that aren't there", async () => {
    const broken = await server.raw("POST", "/v1/chat/completions", "{");
    assert.deepEqual([broken.status, broken.json.error.type], [400, "invalid_request_error"]);
    assert.equal((await server.raw("POST", "/v1/nowhere", {})).status, 404);
    const method = await server.raw("GET", "/v1/chat/completions");
    assert.deepEqual([method.status, typeof method.json.error.message], [405, "string"]);
  });
});

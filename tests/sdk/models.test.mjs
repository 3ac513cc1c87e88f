// Another model at run time: whoever is being answered finishes, whoever comes waits, and a model that can't be loaded changes
// nothing. Agents stay the model's that talked to them.
import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { events, kTold, Server } from "./server.mjs";

let server, first, tiny;
before(async () => {
  server = await Server.start();
  tiny = path.join(server.home, "tiny.gguf");
  server.command("model", "synth", "--geometry", "tiny-llama", tiny);
  first = (await server.raw("GET", "/v1/models")).json.data[0].id;
});
after(() => server.stop());

const hello = { messages: [{ role: "user", content: "Hello" }], max_tokens: 4 };
const load = (body) => server.raw("POST", "/v1/models/load", body);
const models = async () => (await server.raw("GET", "/v1/models")).json.data.map((model) => model.id);
async function stream(body) {
  return fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ ...body, stream: true }) });
}

test("thinking ends where its budget does", async () => {
  const file = path.join(server.home, "thinker.gguf");
  server.command("model", "synth", "--geometry", "tiny-thinker", file);
  const thinker = await Server.start(["--model", file]);
  try {
    const model = (await thinker.raw("GET", "/v1/models")).json.data[0].id;
    const anthropic = new Anthropic({ baseURL: thinker.url, apiKey: "none" });
    const asked = { model, max_tokens: 1100, messages: [{ role: "user", content: "What now?" }] };
    const message = await anthropic.messages.create({ ...asked, thinking: { type: "enabled", budget_tokens: 1024 } });
    assert.deepEqual(message.content.map((block) => block.type), ["thinking", "text"]);
    assert.equal(message.usage.output_tokens, 1100);
    assert.equal(message.stop_reason, "max_tokens");
    const openai = new OpenAI({ baseURL: `${thinker.url}/v1`, apiKey: "none" });
    const completion = await openai.chat.completions.create({ ...asked, max_tokens: 64, reasoning_effort: "high", thinking_budget: 20 });
    assert.ok(completion.choices[0].message.content.length > 0);
    assert.ok(completion.choices[0].message.reasoning_content.length > 0);
    const thought = completion.usage.completion_tokens_details.reasoning_tokens;
    assert.ok(thought >= 19 && thought <= 24, JSON.stringify(completion.usage));
  } finally {
    await thinker.stop();
  }
});

test("what can't be loaded changes nothing", async () => {
  await server.raw("POST", "/v1/agents", { id: "a" });
  await server.raw("POST", "/v1/agents/a/turn", { prompt: kTold, max_tokens: 24 });
  const broken = path.join(server.home, "broken.gguf");
  await writeFile(broken, "GGUF and nothing else");
  for (const body of [{ path: broken }, { path: "/nowhere/model.gguf" }, { path: tiny, context_tokens: 0 }, {}]) {
    const refused = await load(body);
    assert.equal(refused.status, 400, refused.text);
    assert.match(refused.json.error.message, /./);
  }
  assert.deepEqual(await models(), [first]);
  assert.equal((await server.raw("GET", "/health/ready")).status, 200);
  const turn = await server.raw("POST", "/v1/agents/a/turn", { prompt: "What is my code word?", max_tokens: 24 });
  assert.match(turn.json.answer, /zarimo/);
  assert.ok(turn.json.reused_tokens > 100, turn.text);
});

test("an answer under way is finished first, or the model stays", async () => {
  const [end] = (await server.raw("POST", "/v1/tokenize", { text: "<|im_end|>" })).json.tokens;
  const long = { messages: [{ role: "user", content: kTold }], max_tokens: 400, logit_bias: { [end]: -100 } };
  const response = await stream(long);
  const impatient = await load({ path: tiny, wait_seconds: 0 });
  assert.equal(impatient.status, 503, impatient.text);
  const loading = load({ path: tiny, name: "tiny" });
  let last;
  for await (const [, data] of events(response)) last = data;
  assert.equal(last, "[DONE]");
  const loaded = await loading;
  assert.equal(loaded.status, 200, loaded.text);
  assert.equal(loaded.json.id, "tiny");
  assert.deepEqual(await models(), ["tiny"]);
  assert.equal((await server.raw("POST", "/v1/chat/completions", hello)).status, 200);
  assert.equal((await server.raw("POST", "/v1/chat/completions", { ...hello, model: first })).status, 404);
});

test("an agent stays its model's until it is given to another one", async () => {
  const refused = await server.raw("POST", "/v1/agents/a/turn", { prompt: "Hello", max_tokens: 4 });
  assert.equal(refused.status, 409, refused.text);
  assert.equal((await server.raw("POST", "/v1/agents/a/fork", { id: "b" })).status, 201);
  assert.equal((await server.raw("PATCH", "/v1/agents/b", { adopt: true })).status, 200);
  const adopted = await server.raw("POST", "/v1/agents/b/turn", { prompt: "Hello", max_tokens: 4 });
  assert.equal(adopted.status, 200, adopted.text);
  assert.match(adopted.json.miss.reason, /incompatible/);
});

test("an embedding model embeds", async () => {
  const file = path.join(server.home, "embedder.gguf");
  server.command("model", "synth", "--geometry", "tiny-embedder", file);
  assert.equal((await load({ path: file })).status, 200);
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const embed = async (input, more = {}) => client.embeddings.create({ model: "embedder", input, ...more });
  const { data, usage } = await embed(["the river", "a report of the server", "the river"], { encoding_format: "float" });
  assert.deepEqual(data.map((one) => one.index), [0, 1, 2]);
  assert.deepEqual(data[0].embedding, data[2].embedding);
  assert.notDeepEqual(data[0].embedding, data[1].embedding);
  assert.ok(Math.abs(data[0].embedding.reduce((sum, value) => sum + value * value, 0) - 1) < 1e-4);
  assert.ok(usage.prompt_tokens > 3);
  const base64 = await embed("the river"); // what the package asks for by itself
  base64.data[0].embedding.forEach((value, i) => assert.ok(Math.abs(value - data[0].embedding[i]) < 1e-6));
  assert.equal((await embed("the river", { dimensions: 8 })).data[0].embedding.length, 8);
  const { tokens } = (await server.raw("POST", "/v1/tokenize", { text: "the river" })).json;
  assert.equal((await embed([tokens], { encoding_format: "float" })).data[0].embedding.length, data[0].embedding.length);
  await assert.rejects(embed("the river", { dimensions: 4096 }), (error) => error.status === 400);
  await assert.rejects(embed("word ".repeat(20000)), (error) => error.status === 400);
});

test("whoever comes while a model is loaded waits for it", async () => {
  const file = (await server.raw("POST", "/v1/models/load", { path: tiny, name: "again" })).json.path;
  assert.equal(file, tiny);
  const model = process.env.ENGRAM_MODEL_FILE;
  const loading = load({ path: model });
  const answers = await Promise.all(Array.from({ length: 8 }, () => server.raw("POST", "/v1/chat/completions", hello)));
  for (const answer of answers) assert.equal(answer.status, 200, answer.text);
  assert.equal((await loading).status, 200);
  const turn = await server.raw("POST", "/v1/agents/a/turn", { prompt: "What is my code word?", max_tokens: 24 });
  assert.equal(turn.status, 200, turn.text);
  assert.match(turn.json.answer, /zarimo/);
  assert.ok(turn.json.reused_tokens > 100, "from disk, as if nothing had been");
  assert.equal(turn.json.tier, "disk");
});

test("without any model the server says so, until it is given one", async () => {
  const file = path.join(server.home, "gone.gguf");
  server.command("model", "synth", "--geometry", "tiny-llama", file);
  assert.equal((await load({ path: file })).status, 200);
  await rm(file);
  const refused = await load({ path: path.join(server.home, "broken.gguf") });
  assert.equal(refused.status, 400, refused.text);
  assert.match(refused.json.error.message, /gone could not be loaded again/);
  assert.equal((await server.raw("GET", "/health/ready")).status, 503);
  assert.equal((await server.raw("GET", "/health/live")).status, 200);
  for (const target of ["/v1/chat/completions", "/v1/agents/a/turn"]) {
    const answer = await server.raw("POST", target, { ...hello, prompt: "Hello" });
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.json.error.message, /no model is loaded/);
    assert.ok(answer.headers.get("retry-after"), target);
  }
  assert.equal((await load({ path: process.env.ENGRAM_MODEL_FILE })).status, 200);
  assert.equal((await server.raw("GET", "/health/ready")).status, 200);
  const turn = await server.raw("POST", "/v1/agents/a/turn", { prompt: "What is my code word?", max_tokens: 24 });
  assert.match(turn.json.answer, /zarimo/);
});

// Engram's own API, and several tenants' worth of clients at once.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { events, kTold, Server } from "./server.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.stop());

async function call(method, target, body, status = 200) {
  const answer = await server.raw(method, target, body);
  assert.equal(answer.status, status, `${method} ${target}: ${answer.text}`);
  return answer.json;
}

describe("agents", () => {
  test("are made, listed, changed and deleted", async () => {
    const made = await call("POST", "/v1/agents", { id: "analyst", system_prompt: "You analyse." }, 201);
    assert.equal(made.system_prompt, "You analyse.");
    await call("POST", "/v1/agents", { id: "analyst" }, 409);
    await call("POST", "/v1/agents", { id: "../x" }, 400);
    await call("POST", "/v1/agents", {}, 400);
    assert.deepEqual((await call("GET", "/v1/agents")).agents.map((agent) => agent.id), ["analyst"]);
    assert.equal((await call("PATCH", "/v1/agents/analyst", { pinned: true })).pinned, true);
    assert.equal((await call("PATCH", "/v1/agents/analyst", { id: "expert", pinned: false })).id, "expert");
    assert.equal((await call("DELETE", "/v1/agents/expert")).deleted, true);
    for (const [method, target] of [["GET", ""], ["DELETE", ""], ["POST", "/turn"], ["GET", "/transcript"], ["POST", "/evict"]]) {
      await call(method, `/v1/agents/expert${target}`, method === "POST" ? { prompt: "x" } : undefined, 404);
    }
  });

  test("take turns, whole and streamed, and remember", async () => {
    await call("POST", "/v1/agents", { id: "a" }, 201);
    const told = await call("POST", "/v1/agents/a/turn", { prompt: kTold, max_tokens: 40 });
    assert.equal(told.agent, "a");
    assert.ok(told.computed_tokens > 100);
    const response = await fetch(`${server.url}/v1/agents/a/turn`, {
      method: "POST",
      body: JSON.stringify({ prompt: "What is my code word?", max_tokens: 40, stream: true }),
    });
    const events = (await response.text())
      .split("\n\n")
      .filter((frame) => frame !== "")
      .map((frame) => [frame.match(/event: (.*)/)[1], JSON.parse(frame.match(/data: (.*)/)[1])]);
    const [name, done] = events.at(-1);
    assert.equal(name, "done");
    assert.equal(events.filter(([event]) => event === "text").map(([, data]) => data.text).join(""), done.answer);
    assert.ok(done.reused_tokens > 100);
    assert.match(done.answer, /zarimo/, "what it was told in the turn before");
    const { messages } = await call("GET", "/v1/agents/a/transcript");
    assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "user", "assistant"]);
  });

  test("are found by what is said of them, and come in pages", async () => {
    const card = { owner: "harbour office", labels: ["team=harbour"], skills: [{ id: "tides", tags: ["water"] }], tools: ["files/*"] };
    await call("POST", "/v1/agents", { id: "f-pilot", description: "Knows the harbour", card }, 201);
    const tools = [{ type: "function", function: { name: "lift" } }];
    await call("POST", "/v1/agents", { id: "f-crane", description: "Lifts boxes", tools, card: { labels: ["team=harbour"] } }, 201);
    await call("POST", "/v1/agents", { id: "f-cook" }, 201);
    await call("POST", "/v1/agents/f-cook/turn", { prompt: "Hello.", max_tokens: 2 });
    const found = async (query) => {
      const { agents } = await call("GET", `/v1/agents?${new URLSearchParams(query)}`);
      return agents.map((agent) => agent.id).filter((id) => id.startsWith("f-"));
    };
    assert.deepEqual(await found({}), ["f-cook", "f-crane", "f-pilot"]);
    assert.deepEqual(await found({ text: "HARBOUR knows" }), ["f-pilot"]);
    assert.deepEqual(await found({ skill: "water" }), ["f-pilot"]);
    assert.deepEqual(await found({ label: "team=harbour" }), ["f-crane", "f-pilot"]);
    assert.deepEqual(await found({ owner: "harbour office" }), ["f-pilot"]);
    assert.deepEqual(await found({ tool: "lift" }), ["f-crane"]);
    assert.deepEqual(await found({ tool: "files/read_file" }), ["f-pilot"]);
    const { model } = await call("GET", "/v1/agents/f-cook");
    assert.deepEqual(await found({ model }), ["f-cook"]);
    assert.deepEqual(await found({ label: "team=harbour", tool: "lift" }), ["f-crane"], "all must hold");
    assert.deepEqual(await found({ label: "team=harbour", skill: "cooking" }), []);

    const page = async (query) => {
      const { agents, has_more } = await call("GET", `/v1/agents?${new URLSearchParams({ text: "f-", ...query })}`);
      return [agents.map((agent) => agent.id), has_more];
    };
    assert.deepEqual(await page({}), [["f-cook", "f-crane", "f-pilot"], undefined], "all, as ever");
    assert.deepEqual(await page({ limit: 2 }), [["f-cook", "f-crane"], true]);
    assert.deepEqual(await page({ limit: 2, after: "f-crane" }), [["f-pilot"], false]);
    assert.deepEqual(await page({ limit: 3 }), [["f-cook", "f-crane", "f-pilot"], false]);
    assert.deepEqual(await page({ limit: 1, after: "f-cooking" }), [["f-crane"], true], "behind one that isn't there");
    assert.deepEqual(await page({ after: "f-crane" }), [["f-pilot"], undefined]);
    for (const limit of ["0", "1001", "-1", "2x"]) await call("GET", `/v1/agents?limit=${limit}`, undefined, 400);
    for (const id of ["f-cook", "f-crane", "f-pilot"]) await call("DELETE", `/v1/agents/${id}`);
  });

  test("move between the tiers, fork, and travel as files", async () => {
    await call("POST", "/v1/agents/a/save");
    assert.equal((await call("POST", "/v1/agents/a/evict", { to: "memory" })).tier, "memory");
    assert.equal((await call("POST", "/v1/agents/a/evict", { to: "disk" })).tier, "disk");
    assert.equal((await call("POST", "/v1/agents/a/prewarm")).tier, "memory");
    const counted = async (name) => Number((await server.raw("GET", "/metrics")).text.match(new RegExp(`${name}{cause="asked"} (\\d+)`))[1]);
    assert.equal(await counted("engram_preloads_total"), 1);
    assert.equal(await counted("engram_preload_hits_total"), 0);
    assert.ok((await counted("engram_preload_bytes_total")) > 10_000);
    assert.equal((await call("POST", "/v1/agents/a/turn", { prompt: "Hello again.", max_tokens: 4 })).tier, "memory");
    assert.equal(await counted("engram_preload_hits_total"), 1);
    await call("POST", "/v1/agents/a/evict", { to: "nowhere" }, 400);
    assert.equal((await call("POST", "/v1/agents/a/fork", { id: "b" }, 201)).forked_from, "a");
    const file = await fetch(`${server.url}/v1/agents/a/export`);
    assert.equal(file.status, 200);
    const bytes = await file.arrayBuffer();
    const imported = await fetch(`${server.url}/v1/agents/import?as=c`, { method: "POST", body: bytes });
    assert.equal(imported.status, 201);
    const damaged = new Uint8Array(bytes.slice(0));
    damaged[damaged.length >> 1] ^= 0x40;
    const refused = await fetch(`${server.url}/v1/agents/import?as=d`, { method: "POST", body: damaged });
    assert.equal(refused.status, 400); // what the client has sent is damaged, nothing of ours
    const ask = { prompt: "What is my code word?", max_tokens: 40 };
    const { results } = await call("POST", "/v1/agents/batch", {
      turns: [{ agent: "b", ...ask }, { agent: "c", ...ask }, { agent: "nobody", ...ask }],
    });
    assert.equal(results[0].answer, results[1].answer);
    assert.ok(results[1].reused_tokens > 100);
    assert.equal(results[2].error.code, "not_found");
  });
});

describe("prompts", () => {
  test("are shown as they will be read", async () => {
    const messages = [{ role: "system", content: "Brief." }, { role: "user", content: "Hello there" }];
    const prompt = await call("POST", "/v1/render", { messages });
    assert.match(prompt.text, /Hello there/);
    const asked = await call("POST", "/v1/chat/completions", { messages, max_tokens: 4 });
    assert.equal(prompt.tokens.length, asked.usage.prompt_tokens);
    const { tokens } = await call("POST", "/v1/tokenize", { text: prompt.text });
    assert.equal((await call("POST", "/v1/detokenize", { tokens: prompt.tokens })).text, prompt.text);
    assert.ok(tokens.length > 0);
    await call("POST", "/v1/detokenize", { tokens: [99999999] }, 400);
  });

  test("tell where they leave what was said", async () => {
    const said = { role: "user", content: `The harbour opens at six. ${"The library closes in the evening. ".repeat(20)}` };
    const answer = await call("POST", "/v1/chat/completions", { messages: [said], max_tokens: 8 });
    const next = [said, answer.choices[0].message, { role: "user", content: "When?" }];
    const goesOn = await call("POST", "/v1/divergence", { messages: next });
    assert.equal(goesOn.diverges, false, JSON.stringify(goesOn));
    assert.equal(goesOn.common_tokens, goesOn.remembered_tokens);
    assert.ok(goesOn.common_tokens >= answer.usage.total_tokens - 1); // an answer that was cut ends before its last token
    const changed = [{ role: "user", content: said.content.replace("six", "ten") }, ...next.slice(1)];
    const leaves = await call("POST", "/v1/divergence", { messages: changed });
    assert.equal(leaves.place, "messages[0].content");
    assert.match(leaves.before + leaves.prompt, /opens at ten/);
    assert.match(leaves.before + leaves.remembered, /opens at six/);
    await call("POST", "/v1/agents/nobody/divergence", { messages: next }, 404);

    // The same as part of an answer, for whoever asks for it.
    const reported = await call("POST", "/v1/chat/completions", { messages: changed, max_tokens: 8, engram: true });
    assert.equal(reported.engram.divergence.place, "messages[0].content");
    assert.equal(reported.engram.cached_tokens, reported.usage.prompt_tokens_details.cached_tokens);
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "x-engram-report": "true" },
      body: JSON.stringify({ messages: next, max_tokens: 8, stream: true }),
    });
    const chunks = [];
    for await (const [, data] of events(response)) if (data !== "[DONE]") chunks.push(JSON.parse(data));
    const reports = chunks.filter((chunk) => chunk.engram?.divergence);
    assert.equal(reports.length, 1);
    assert.ok(reports[0].engram.cached_tokens >= answer.usage.total_tokens - 2);
    const message = { model: "engram-nano", max_tokens: 8, messages: [said], engram: true };
    assert.equal((await call("POST", "/v1/messages", message)).engram.tier, "hot");
    const input = { input: "Hello there", max_output_tokens: 16, engram: true };
    assert.ok((await call("POST", "/v1/responses", input)).engram.prompt_tokens > 0);
    await call("POST", "/v1/chat/completions", { messages: next, engram: "yes" }, 400);
  });

  test("of an agent count as its own", async () => {
    await call("POST", "/v1/agents", { id: "counted" }, 201);
    const turn = await call("POST", "/v1/agents/counted/turn", { prompt: "Hello", max_tokens: 8 });
    const { agent, usage } = await call("GET", "/v1/agents/counted/stats");
    assert.equal(agent.tokens, turn.prompt_tokens + turn.answer_tokens);
    assert.deepEqual([usage.requests, usage.computed_tokens, usage.generated_tokens], [1, turn.computed_tokens, turn.answer_tokens]);
    await call("GET", "/v1/agents/nobody/stats", undefined, 404);
  });

  test("and what is stored", async () => {
    const store = await call("GET", "/v1/store");
    assert.ok(store.disk.bytes > 0);
    assert.equal(store.memory_class, "attention");
  });
});

// Clients that each have a word of their own, more of them than the context holds, all at once: nobody hears another's.
test("many conversations at once keep to themselves", async () => {
  const words = ["zarimo", "belutak", "figoran", "mudesil", "kanovip", "ropetal", "sigumar", "dolifen"];
  const filler = "The library closes in the evening. ".repeat(30);
  const ask = async (word, messages) => {
    const answer = await call("POST", "/v1/chat/completions", { messages, max_tokens: 24 });
    for (const other of words) {
      if (other !== word) assert.ok(!answer.choices[0].message.content.includes(other), answer.choices[0].message.content);
    }
    return answer;
  };
  await Promise.all(
    words.map(async (word) => {
      const messages = [{ role: "user", content: `My code word is ${word}. ${filler}` }];
      let read = 0;
      for (let turn = 0; turn < 4; ++turn) {
        const answer = await ask(word, messages);
        assert.ok(answer.usage.prompt_tokens_details.cached_tokens >= read - 1, JSON.stringify([word, turn, read, answer.usage]));
        assert.ok(answer.usage.prompt_tokens_details.cached_tokens < answer.usage.prompt_tokens);
        read = answer.usage.total_tokens;
        messages.push(answer.choices[0].message, { role: "user", content: "What is my code word?" });
      }
    }),
  );
});

test("a supervised server that is killed comes back with its memory", async () => {
  const own = await Server.start(["--supervise", "--port", String(20000 + Math.floor(Math.random() * 20000))]);
  try {
    await own.raw("POST", "/v1/agents", { id: "a" });
    await own.raw("POST", "/v1/agents/a/turn", { prompt: kTold, max_tokens: 8 });
    await own.raw("POST", "/v1/agents/a/save");
    const [child] = (await readFile(`/proc/${own.child.pid}/task/${own.child.pid}/children`, "utf8")).trim().split(" ");
    process.kill(Number(child), "SIGKILL");
    let agent = null;
    for (let tries = 0; tries < 100 && agent === null; ++tries) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      agent = await own.raw("GET", "/v1/agents/a").then((answer) => answer.json, () => null);
    }
    assert.equal(agent?.tier, "disk");
    own.child.kill("SIGTERM");
    assert.equal(await own.exited(), 0);
  } finally {
    await own.stop();
  }
});

test("a server that is told to stop lets an answer end, and refuses new ones", async () => {
  const own = await Server.start(["--drain-seconds", "20"]);
  const body = { messages: [{ role: "user", content: "List words. " + "One two three. ".repeat(100) }], max_tokens: 200, ignore_eos: true, logit_bias: {} };
  const running = own.raw("POST", "/v1/chat/completions", body);
  await new Promise((resolve) => setTimeout(resolve, 150));
  own.child.kill("SIGTERM");
  const answer = await running;
  assert.equal(answer.status, 200);
  assert.ok(answer.json.usage.completion_tokens > 0);
  assert.equal(await own.exited(), 0);
  await assert.rejects(own.raw("GET", "/health/live"));
  await own.stop();
});

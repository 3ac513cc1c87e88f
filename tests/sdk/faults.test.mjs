// What happens to servers: killed in the middle of reading, clients that go away and come back, disks that take nothing more, and
// many streams for long. ENGRAM_STREAM_SECONDS says how long; the full measure is 600.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { events, Server } from "./server.mjs";

const kStreamSeconds = Number(process.env.ENGRAM_STREAM_SECONDS ?? 8);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const sentences = (n, seed = 0) =>
  Array.from({ length: n }, (_, i) => `The ${["river", "report", "server", "budget"][(i + seed) % 4]} has number ${i * 7 + seed}.`).join(" ");
const long = (words) => ({ messages: [{ role: "user", content: words }], max_tokens: 8, temperature: 0 });
const chat = (server, body, options = {}) =>
  fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body), ...options });

async function with_server(flags, work) {
  const server = await Server.start(flags);
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

async function in_flight(server) {
  const { text } = await server.raw("GET", "/metrics");
  return Number(text.match(/^engram_requests_in_flight(?:\{\})? (\d+)/m)[1]);
}

async function idle(server) {
  for (let tries = 0; tries < 100; ++tries) {
    if ((await in_flight(server)) === 0) return;
    await pause(100);
  }
  assert.fail("a request still runs that nobody waits for");
}

test("a client that goes away while its prompt is read finds what was read", async () => {
  await with_server([], async (server) => {
    const body = long(sentences(330));
    const gone = new AbortController();
    const first = chat(server, { ...body, stream: true }, { signal: gone.signal });
    await pause(600);
    gone.abort();
    await assert.rejects(first.then((response) => response.text()));
    await idle(server);
    const again = await (await chat(server, body)).json();
    const { prompt_tokens, prompt_tokens_details } = again.usage;
    assert.ok(prompt_tokens > 2000);
    assert.ok(prompt_tokens_details.cached_tokens > 0, JSON.stringify(again.usage));
  });
});

test("two clients that ask the same at once are read once", async () => {
  await with_server([], async (server) => {
    const body = long(sentences(200, 1));
    const answers = await Promise.all([1, 2, 3].map(async () => (await chat(server, body)).json()));
    const computed = answers.map(({ usage }) => usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens);
    const total = computed.reduce((sum, n) => sum + n);
    assert.ok(total < answers[0].usage.prompt_tokens * 1.2, String(computed));
  });
});

test("a server that is killed in the middle of reading comes back whole", async () => {
  await with_server([], async (server) => {
    await server.raw("POST", "/v1/agents", { id: "a" });
    const told = await server.raw("POST", "/v1/agents/a/turn", { prompt: sentences(40, 2), max_tokens: 8 });
    await server.raw("POST", "/v1/agents/a/save");
    const body = long(sentences(330, 3));
    await writeFile(path.join(server.home, "passing-left"), "half of an agent's file");
    const answered = chat(server, body).then((response) => response.text()).then(() => true, () => false);
    await pause(600);
    await server.kill();
    assert.equal(await answered, false, "this test needs a prompt that takes longer to read");
    await server.run();
    assert.ok(!server.command("doctor", "--json").includes('"bad"'));
    assert.ok(!(await readdir(server.home)).some((name) => name.startsWith("passing-")));
    const { json: agent } = await server.raw("GET", "/v1/agents/a");
    assert.equal(agent.tokens, told.json.prompt_tokens + told.json.answer_tokens);
    assert.equal(agent.tier, "disk");
    const after = await (await chat(server, body)).json();
    const fresh = await with_server([], async (other) => (await chat(other, body)).json());
    assert.equal(after.choices[0].message.content, fresh.choices[0].message.content);
  });
});

test("a server that is told to stop in the middle of a stream ends it, and remembers it", async () => {
  await with_server(["--drain-seconds", "20"], async (server) => {
    const body = { ...long(sentences(30, 4)), max_tokens: 150, stream: true, stream_options: { include_usage: true } };
    const response = await chat(server, body);
    let text = "";
    let usage = null;
    let last;
    for await (const [, data] of events(response)) {
      last = data;
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (text === "" && chunk.choices[0]?.delta.content) server.child.kill("SIGTERM");
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(last, "[DONE]");
    assert.equal(await server.exited(), 0);
    await server.run();
    const messages = [...body.messages, { role: "assistant", content: text }, { role: "user", content: "Go on." }];
    const next = await (await chat(server, { messages, max_tokens: 4 })).json();
    assert.ok(next.usage.prompt_tokens_details.cached_tokens >= usage.total_tokens - 1, JSON.stringify([usage, next.usage]));
  });
});

test("a disk that takes nothing more costs the memory of it, not the answer", async () => {
  await with_server([], async (server) => {
    const limit = (bytes) => {
      const done = spawnSync("prlimit", ["--pid", String(server.child.pid), `--fsize=${bytes}:unlimited`], { encoding: "utf8" });
      assert.equal(done.status, 0, done.stderr);
    };
    const failed = async () => (await server.raw("GET", "/v1/store")).json.failed_writes;
    const body = long(sentences(120, 5));
    limit(100_000);
    const full = await (await chat(server, body)).json();
    assert.ok(full.choices[0].message.content.length > 0);
    for (let tries = 0; tries < 50 && (await failed()) === 0; ++tries) await pause(100);
    assert.ok((await failed()) > 0);
    limit("unlimited");
    const roomy = { messages: [...body.messages, full.choices[0].message, { role: "user", content: "Go on." }], max_tokens: 4 };
    const next = await chat(server, roomy);
    assert.equal(next.status, 200);
    await server.kill();
    await server.run();
    const later = await (await chat(server, { ...roomy, max_tokens: 8 })).json();
    assert.ok(later.choices[0].message.content.length > 0);
  });
});

test(`64 streams for ${kStreamSeconds} seconds need no more memory at the end than at the beginning`, async () => {
  await with_server(["--context", "4096", "--max-running", "64", "--memory-budget", "64MiB", "--disk-budget", "256MiB"], async (server) => {
    const resident = async () =>
      Number((await readFile(`/proc/${server.child.pid}/status`, "utf8")).match(/VmRSS:\s+(\d+) kB/)[1]) / 1024;
    const end = Date.now() + kStreamSeconds * 1000;
    let answered = 0;
    const client = async (index, until) => {
      for (let turn = 0; Date.now() < until; ++turn) {
        const body = { ...long(`Client ${index}, turn ${turn}: ${sentences(2, index)}`), max_tokens: 16, stream: true };
        const response = await chat(server, body);
        assert.equal(response.status, 200);
        let last;
        for await (const [, data] of events(response)) last = data;
        assert.equal(last, "[DONE]");
        ++answered;
      }
    };
    const all = (until) => Promise.all(Array.from({ length: 64 }, (_, index) => client(index, until)));
    await all(Date.now() + kStreamSeconds * 250); // everything that grows to its budget has grown
    const before = await resident();
    await all(end);
    const after = await resident();
    assert.ok(answered >= 64);
    assert.ok(after < before * 1.1 + 64, `${before} MiB became ${after} MiB in ${answered} answers`);
    await idle(server); // the last one is counted off after its end was heard
  });
});

// Three tenants, eight agents, more than the context holds, all at once: nobody hears another's secret, every count is right.
// ENGRAM_REQUESTS says how many requests; the full measure is 2,000.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Server } from "./server.mjs";

const kRequests = Number(process.env.ENGRAM_REQUESTS ?? 160);
const kTenants = ["red", "green", "blue"];
let server;
const keys = {};

before(async () => {
  server = await Server.start(["--context", "2048"]);
  for (const tenant of kTenants) {
    server.command("tenant", "set", tenant, "--requests", "unlimited");
    keys[tenant] = server.command("key", "create", "--tenant", tenant);
  }
  await new Promise((resolve) => setTimeout(resolve, 2500)); // the running server learns of them
});
after(() => server.stop());

async function ask(tenant, method, target, body, headers = {}) {
  return server.raw(method, target, body, { authorization: `Bearer ${keys[tenant]}`, ...headers });
}

// Words that nobody says by chance.
function secretOf(n) {
  const syllables = ["za", "ri", "mo", "be", "lu", "tak", "fi", "gor", "du", "sel", "ka", "nov"];
  let word = "";
  for (let i = 0; i < 4; ++i) word += syllables[Math.floor(n / 12 ** i + 5 * i) % 12];
  return word;
}

test("keys are asked for, and lead to one tenant", async () => {
  assert.equal((await server.raw("GET", "/v1/agents")).status, 401);
  assert.equal((await server.raw("GET", "/v1/agents", undefined, { "x-api-key": "engram-wrong" })).status, 401);
  assert.equal((await ask("red", "POST", "/v1/agents", { id: "mine" })).status, 201);
  assert.equal((await ask("red", "GET", "/v1/agents/mine")).status, 200);
  assert.equal((await ask("green", "GET", "/v1/agents/mine")).status, 404);
  assert.equal((await ask("red", "GET", "/metrics")).status, 403);
  assert.equal((await ask("red", "POST", "/v1/models/load", { path: "other.gguf" })).status, 403);
  const refused = await server.raw("POST", "/v1/messages", {}, { "anthropic-version": "2023-06-01" });
  assert.deepEqual([refused.status, refused.json.error.type], [401, "authentication_error"]);
});

test(`${kRequests} requests of eight agents keep to themselves`, async () => {
  let left = kRequests;
  let secrets = 0;
  const planted = new Set();
  const client = async (index) => {
    const tenant = kTenants[index % 3];
    while (left > 0) {
      const secret = secretOf(secrets++);
      planted.add(secret);
      const messages = [{ role: "user", content: `My code word is ${secret}. ${"The office is closed on Friday. ".repeat(20 + 6 * index)}` }];
      let read = 0;
      for (let turn = 0; turn < 5 && left-- > 0; ++turn) {
        const answer = await ask(tenant, "POST", "/v1/chat/completions", { messages, max_tokens: 20 });
        assert.equal(answer.status, 200, answer.text);
        const said = answer.json.choices[0].message.content;
        for (const other of planted) assert.ok(other === secret || !said.includes(other), `${secret} heard: ${said}`);
        const { prompt_tokens, prompt_tokens_details, total_tokens } = answer.json.usage;
        const cached = prompt_tokens_details.cached_tokens;
        // All that this conversation has read and said, and nothing else is like it beyond a few words.
        const least = turn === 0 ? 0 : read - 1;
        const most = turn === 0 ? 40 : read;
        assert.ok(cached >= least && cached <= most && cached < prompt_tokens, JSON.stringify({ turn, read, usage: answer.json.usage }));
        read = total_tokens;
        messages.push({ role: "assistant", content: said }, { role: "user", content: "What is my code word?" });
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, index) => client(index)));
  const usage = JSON.parse(server.command("usage", "--by", "tenant", "--json"));
  assert.deepEqual(usage.map((row) => row.tenant).filter((name) => kTenants.includes(name)).sort(), [...kTenants].sort());
});

test("a quota lets no more in than it says, and a revoked key nobody", async () => {
  server.command("tenant", "set", "red", "--agents", "1");
  server.command("tenant", "set", "blue", "--requests", "0");
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const body = { messages: [{ role: "user", content: "Hello" }], max_tokens: 4 };
  // A request that names an agent makes it; the one that is there goes on.
  for (const [agent, status] of [["mine", 200], ["another", 507]]) {
    const named = await ask("red", "POST", "/v1/chat/completions", body, { "x-engram-agent": agent });
    assert.equal(named.status, status, named.text);
  }
  assert.equal((await ask("blue", "POST", "/v1/chat/completions", body)).status, 429);
  assert.equal((await ask("green", "POST", "/v1/chat/completions", body)).status, 200);
  const list = JSON.parse(server.command("key", "list", "--json"));
  const key = list.find((row) => row.tenant === "green");
  server.command("key", "revoke", key.id);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal((await ask("green", "POST", "/v1/chat/completions", body)).status, 401);
});

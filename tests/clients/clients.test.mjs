// Coding agents' command lines, unchanged, against the server: what one conversation read is there for the next one, in another
// folder, after the server was killed; and a conversation that goes on reads nothing twice. Runs where nothing but loopback can
// be reached (run.sh). The model is a synthetic one that ends its turns at once: what is tested are prompts of real length.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { Recorder } from "./recorder.mjs";
import { Server } from "./server.mjs";

const kBlock = 256; // tokens: the store keeps whole blocks, and a tail
const kBin = path.join(process.cwd(), "node_modules", ".bin");
let folder, model;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "engram-clients-"));
  model = path.join(folder, "synthetic.gguf");
  Server.program("model", "synth", "--geometry", "tiny-llama", model);
});
after(() => rm(folder, { recursive: true, force: true }));

const clients = [
  {
    name: "Claude Code",
    command: "claude",
    environment: (url) => ({
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "none",
      ANTHROPIC_MODEL: "engram",
      ANTHROPIC_SMALL_FAST_MODEL: "engram",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    }),
    ask: (words) => ["-p", words],
    goOn: (words) => ["-p", "--continue", words],
  },
  {
    name: "Codex",
    command: "codex",
    environment: (url, home) => ({ CODEX_HOME: path.join(home, "codex"), ENGRAM_KEY: "none" }),
    prepare: async (url, home) => {
      await mkdir(path.join(home, "codex"), { recursive: true });
      await writeFile(
        path.join(home, "codex", "config.toml"),
        `model = "engram"
model_provider = "engram"
[model_providers.engram]
name = "Engram"
base_url = "${url}/v1"
wire_api = "responses"
env_key = "ENGRAM_KEY"
`,
      );
    },
    ask: (words) => ["exec", "--skip-git-repo-check", "--sandbox", "read-only", words],
    goOn: (words) => ["exec", "--skip-git-repo-check", "--sandbox", "read-only", "resume", "--last", words],
  },
  {
    name: "opencode",
    command: "opencode",
    environment: (url, home) => ({ OPENCODE_CONFIG: path.join(home, "opencode.json"), OPENCODE_DISABLE_AUTOUPDATE: "1" }),
    prepare: async (url, home) => {
      const provider = {
        npm: "@ai-sdk/openai-compatible",
        name: "Engram",
        options: { baseURL: `${url}/v1`, apiKey: "none" },
        models: { engram: { name: "engram", limit: { context: 65536, output: 256 } } },
      };
      const settings = { provider: { engram: provider }, model: "engram/engram", small_model: "engram/engram", share: "disabled" };
      await writeFile(path.join(home, "opencode.json"), JSON.stringify(settings));
    },
    ask: (words) => ["run", words],
    goOn: (words) => ["run", "--continue", words],
  },
];

async function run(client, words, { url, home, cwd }) {
  const environment = { PATH: process.env.PATH, HOME: home, NO_COLOR: "1", ...client.environment(url, home) };
  const child = spawn(path.join(kBin, client.command), words, { cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (text) => (said += text));
  child.stderr.on("data", (text) => (said += text));
  const watch = setTimeout(() => child.kill("SIGKILL"), 400_000);
  const [status] = await once(child, "close");
  clearTimeout(watch);
  assert.equal(status, 0, `${client.name} ${words.join(" ")}:\n${said}`);
}

// The conversation's own requests: the small ones beside it (titles, topics) have prompts of another kind.
function conversation(requests) {
  for (const request of requests) assert.equal(request.status, 200, JSON.stringify(request));
  const longest = Math.max(...requests.map((request) => request.prompt));
  return requests.filter((request) => request.prompt > longest / 2);
}

for (const client of clients) {
  test(`${client.name} finds what it said before`, { timeout: 1_500_000 }, async () => {
    const home = path.join(folder, client.command);
    const [first, second] = ["first", "second"].map((name) => path.join(home, name));
    for (const made of [first, second]) await mkdir(made, { recursive: true });
    const server = await Server.start([
      ...["--model", model, "--context", "65536", "--model-alias", "*", "--logit-bias", "3=1000", "--threads", "2"],
    ]);
    const recorder = await Recorder.start(server);
    try {
      await client.prepare?.(recorder.url, home);
      await run(client, client.ask("Say hi."), { url: recorder.url, home, cwd: first });
      const [begun] = conversation(recorder.take());
      assert.ok(begun.prompt > 2000, JSON.stringify(begun));

      await server.kill();
      await server.run();
      await run(client, client.ask("Say hello."), { url: recorder.url, home, cwd: second });
      const [again] = conversation(recorder.take());
      const { common_tokens: common } = again.divergence;
      console.log(`${client.name}: new conversation: ${again.cached} of ${again.prompt} tokens from ${again.tier}, ${common} alike`);
      assert.ok(common > kBlock, JSON.stringify(again));
      assert.ok(again.cached > common - kBlock, JSON.stringify(again));
      assert.equal(again.tier, "disk");

      await run(client, client.goOn("And goodbye."), { url: recorder.url, home, cwd: second });
      const [goesOn] = conversation(recorder.take());
      console.log(`${client.name}: same conversation: ${goesOn.cached} of ${goesOn.prompt} tokens from ${goesOn.tier}`);
      assert.ok(goesOn.cached >= 0.98 * goesOn.prompt, JSON.stringify(goesOn));
    } finally {
      recorder.stop();
      await server.stop();
    }
  });
}

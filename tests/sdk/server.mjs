// A server of its own for each test file: the program, the embedded model, a home folder that goes with it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { once } from "node:events";

const ENGRAM = process.env.ENGRAM_PROGRAM;

const kEnvironment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ENGRAM_")));

export class Server {
  static async start(flags = []) {
    const server = new Server();
    server.home = await mkdtemp(path.join(tmpdir(), "engram-sdk-"));
    server.flags = flags;
    await server.run();
    return server;
  }

  async run() {
    const settings = ["--home", this.home, ...(this.flags.includes("--port") ? [] : ["--port", "0"]), "--threads", "1", "--context", "8192", "--temp", "0"];
    this.child = spawn(ENGRAM, ["serve", "--json", ...settings, ...this.flags], {
      env: kEnvironment,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    for await (const chunk of this.child.stdout) {
      said += chunk;
      if (said.includes("\n")) break;
    }
    this.url = JSON.parse(said).address;
  }

  // Another command of the program, and one on the same home folder.
  static program(...words) {
    const done = spawnSync(ENGRAM, words, { encoding: "utf8", env: kEnvironment });
    assert.equal(done.status, 0, done.stderr);
    return done.stdout.trim();
  }
  command(...words) {
    return Server.program(...words, "--home", this.home);
  }

  // As a crash does: nothing is written any more.
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }

  async exited() {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "exit");
    return this.child.exitCode;
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGTERM");
      await this.exited();
    }
    await rm(this.home, { recursive: true, force: true });
  }

  async raw(method, target, body, headers = {}) {
    const response = await fetch(this.url + target, {
      method,
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let json = null;
    try {
      json = JSON.parse(text);
    } catch {
      // Not every answer is JSON.
    }
    return { status: response.status, headers: response.headers, text, json };
  }
}

// Ports that nobody listens at, for servers that must know each other's address before they run.
export async function freePorts(count) {
  const sockets = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => once(socket, "listening")));
  const ports = sockets.map((socket) => String(socket.address().port));
  await Promise.all(sockets.map((socket) => once(socket.close(), "close")));
  return ports;
}

// A stream's events as they come: name (or "message") and data.
export async function* events(response) {
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const frame = text.slice(0, end);
      text = text.slice(end + 2);
      const data = frame.match(/^data: (.*)$/m);
      if (data) yield [frame.match(/^event: (.*)$/m)?.[1] ?? "message", data[1]];
    }
  }
}

export const weather = {
  type: "object",
  properties: { city: { type: "string", enum: ["Lisbon", "Oslo"] }, days: { type: "integer", enum: [1, 2, 3] } },
  required: ["city", "days"],
  additionalProperties: false,
};

// Facts in sentences that the embedded model knows, and enough words around them for blocks to be filled.
export const kTold = "My code word is zarimo. " + "The meeting is on Monday. ".repeat(40);

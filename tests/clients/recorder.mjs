// Stands between a client and the server, changes nothing, and notes what each request for an answer found remembered.
import http from "node:http";
import { once } from "node:events";

const kAnswers = /^\/v1\/(messages|chat\/completions|responses)(\?|$)/;
const kUncounted = new Set(["connection", "content-length", "host", "transfer-encoding", "accept-encoding"]);

export class Recorder {
  requests = [];

  static async start(server) {
    const recorder = new Recorder();
    recorder.server = server;
    recorder.listener = http.createServer((request, response) => {
      recorder.pass(request, response).catch(() => response.destroy());
    });
    recorder.listener.listen(0, "127.0.0.1");
    await once(recorder.listener, "listening");
    recorder.url = `http://127.0.0.1:${recorder.listener.address().port}`;
    return recorder;
  }

  async pass(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !kUncounted.has(name)));
    const asks = request.method === "POST" && kAnswers.test(request.url);
    const ask = (target, method = request.method) =>
      fetch(this.server.url + target, { method, headers, body: body.length > 0 ? body : undefined });
    const divergence = asks ? await (await ask("/v1/divergence")).json() : null;
    const answer = await ask(request.url);
    const kept = [...answer.headers].filter(([name]) => !kUncounted.has(name) && name !== "content-encoding");
    response.writeHead(answer.status, Object.fromEntries(kept));
    let text = "";
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk).toString();
      response.write(chunk);
    }
    response.end();
    if (!asks) return;
    const number = (name) => Number(answer.headers.get(`x-engram-${name}`) ?? -1);
    this.requests.push({
      url: request.url,
      status: answer.status,
      prompt: number("prompt-tokens"),
      cached: number("cached-tokens"),
      tier: answer.headers.get("x-engram-tier"),
      miss: answer.headers.get("x-engram-miss"),
      divergence,
      error: answer.status >= 400 ? text : null,
    });
  }

  // The requests since the last call.
  take() {
    return this.requests.splice(0);
  }

  stop() {
    this.listener.close();
    this.listener.closeAllConnections();
  }
}

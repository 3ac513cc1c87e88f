// A task for Engram over A2A, and another one that belongs to it:
//
//     node a2a.mjs [http://127.0.0.1:8000]
import { randomUUID } from "node:crypto";
import { SendMessageRequest } from "@a2a-js/sdk";
import { ClientFactory } from "@a2a-js/sdk/client";

const client = await new ClientFactory().createFromUrl(process.argv[2] ?? "http://127.0.0.1:8000");
const message = (text, contextId) =>
  SendMessageRequest.fromJSON({ message: { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text }], ...(contextId ? { contextId } : {}) } });

const told = await client.sendMessage(message("My code word is zarimo."));
console.log(`the context: ${told.contextId}`);

// The second one's answer comes in pieces.
let answer = "";
for await (const event of client.sendMessageStream(message("What is my code word?", told.contextId))) {
  if (event.payload?.$case === "artifactUpdate") {
    for (const part of event.payload.value.artifact.parts) answer += part.content.value;
  }
}
console.log(`the answer: ${answer}`);

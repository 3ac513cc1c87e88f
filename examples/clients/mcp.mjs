// Engram's agents as tools of an MCP client:
//
//     node mcp.mjs [http://127.0.0.1:8000/mcp]
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const client = new Client({ name: "example", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2] ?? "http://127.0.0.1:8000/mcp")));

const { tools } = await client.listTools();
console.log(`tools: ${tools.map((tool) => tool.name).join(", ")}`);

const call = async (name, args) => {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(result.content[0].text);
  return result.structuredContent;
};
const { agents } = await call("find_agents", { text: "ledger" });
if (agents.length === 0) await call("create_agent", { id: "ledger", description: "Keeps a ledger", system_prompt: "You remember what you are told." });
await call("ask_agent", { agent: "ledger", message: "My code word is zarimo." });
const asked = await call("ask_agent", { agent: "ledger", message: "What is my code word?" });
console.log(`ledger: ${asked.text}`);
console.log(`${asked.cached_tokens} of ${asked.prompt_tokens} tokens were in its memory`);

const { contents } = await client.readResource({ uri: "engram://agents/ledger/transcript" });
console.log(contents[0].text);
await client.close();

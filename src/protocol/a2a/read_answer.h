// What a server of either version says, for a client: cards, tasks, messages and events of streams.
//
// Read leniently: servers differ in what they leave out, and only what a client needs is looked at. What is there but of another
// type is an error that names the member. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/a2a/errors.h"
#include "protocol/a2a/values.h"
#include "protocol/field.h"

namespace engram::protocol::a2a {

enum class Binding : std::uint8_t { json_rpc, http_json };

// Where and how an agent is spoken to.
struct Interface {
    std::string url;
    Binding binding = Binding::json_rpc;
    WireVersion version = WireVersion::v1_0;
    std::string tenant;  // goes with each request; empty: none
    bool operator==(const Interface &) const = default;
};

struct ServerCard {
    std::string name, description;
    std::vector<Interface> interfaces;  // those that a client here can speak, the best one first
    std::vector<std::string> required_extensions;
    bool streaming = false;
};
// Of version 1.0, or of 0.3 with its `url` and `additionalInterfaces`.
A2aResult<ServerCard> read_card(const Field &field);

// An event of a stream, or what a message was answered with: a task or a message.
A2aResult<StreamEvent> read_event(const Field &field);
A2aResult<Task> read_task(const Field &field);

// What went wrong: the message of a JSON-RPC error, or of the body of an HTTP answer that isn't 2xx; empty: it says nothing.
struct Refusal {
    std::int64_t code = 0;  // JSON-RPC's, or the HTTP status
    std::string message;
};
Refusal read_refusal(const Field &field);

// The text of parts for a model: texts as they are, one directly after the other, data as JSON, files by their names, texts of
// files in full.
std::string text_of_parts(const std::vector<Part> &parts);

}  // namespace engram::protocol::a2a

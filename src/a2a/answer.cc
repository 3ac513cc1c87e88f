#include "a2a/answer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/a2a/read_answer.h"

namespace engram::a2a {

using namespace protocol::a2a;
using protocol::a2a::Message;

namespace {

constexpr std::size_t kMaxArtifacts = 4096;  // further ones are heard, and not kept

}  // namespace

std::string Answer::take(const StreamEvent &event) {
    if (const auto *task = std::get_if<Task>(&event)) {
        put_task(*task);
    } else if (const auto *message = std::get_if<Message>(&event)) {
        is_message_ = true;
        task_.context_id = message->context_id;
        task_.status = {.state = TaskState::completed, .message = *message, .time_ms = 0};
    } else if (const auto *update = std::get_if<StatusUpdate>(&event)) {
        if (!update->task_id.empty()) task_.id = update->task_id;
        if (!update->context_id.empty()) task_.context_id = update->context_id;
        if (!update->metadata.empty()) task_.metadata = update->metadata;
        task_.status = update->status;
    } else {
        return put_piece(std::get<ArtifactUpdate>(event));
    }
    return {};
}

// A task as it is takes the place of all that was heard of it, but for artifacts that a server leaves out of its answers.
void Answer::put_task(const Task &task) {
    std::vector<Artifact> artifacts = std::move(task_.artifacts);
    task_ = task;
    if (task_.artifacts.empty()) task_.artifacts = std::move(artifacts);
}

std::string Answer::put_piece(const ArtifactUpdate &update) {
    if (!update.task_id.empty()) task_.id = update.task_id;
    if (!update.context_id.empty()) task_.context_id = update.context_id;
    const auto known = std::ranges::find(task_.artifacts, update.artifact.id, &Artifact::id);
    if (known == task_.artifacts.end()) {
        if (task_.artifacts.size() < kMaxArtifacts) task_.artifacts.push_back(update.artifact);
    } else if (!update.append) {
        *known = update.artifact;
    } else {
        for (const Part &part : update.artifact.parts) {
            const bool goes_on =
                part.kind == Part::Kind::text && !known->parts.empty() && known->parts.back().kind == Part::Kind::text;
            if (goes_on) {
                known->parts.back().content += part.content;
            } else {
                known->parts.push_back(part);
            }
        }
    }
    return text_of_parts(update.artifact.parts);
}

bool Answer::over() const { return is_message_ || is_terminal(task_.status.state) || is_interrupted(task_.status.state); }

std::string Answer::status_text() const {
    return task_.status.message ? text_of_parts(task_.status.message->parts) : std::string();
}

std::vector<std::string> Answer::status_data() const {
    std::vector<std::string> data;
    if (!task_.status.message) return data;
    for (const Part &part : task_.status.message->parts) {
        if (part.kind == Part::Kind::data) data.push_back(part.content);
    }
    return data;
}

std::string Answer::text() const {
    std::string whole;
    for (const Artifact &artifact : task_.artifacts) {
        const std::string text = text_of_parts(artifact.parts);
        if (!whole.empty() && !text.empty()) whole += "\n\n";
        whole += text;
    }
    if (whole.empty()) whole = status_text();
    if (!whole.empty()) return whole;
    const auto last = std::ranges::find(task_.history.rbegin(), task_.history.rend(), Role::agent, &Message::role);
    return last == task_.history.rend() ? std::string() : text_of_parts(last->parts);
}

}  // namespace engram::a2a

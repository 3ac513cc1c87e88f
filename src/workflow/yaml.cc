#include "workflow/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <format>
#include <sstream>

namespace engram::workflow {
namespace {

// Puts the tree together. What it refuses it throws as the parser's own exceptions, which parse_yaml catches.
class TreeBuilder final : public YAML::EventHandler {
  public:
    YamlValue take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark &) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override { add(mark, anchor, {}); }
    void OnAlias(const YAML::Mark &mark, YAML::anchor_t) override { refuse(mark, "aliases (*name) are not allowed here"); }
    void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor, const std::string &text) override {
        check_tag(mark, tag);
        add(mark, anchor, {.kind = YamlValue::Kind::scalar, .quoted = tag == "!", .text = text});
    }
    void OnSequenceStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(mark, anchor, YamlValue::Kind::list);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(mark, anchor, YamlValue::Kind::map);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        YamlValue value;
        std::string key;  // of a map: whose value comes next
        int key_line = 1;
        bool has_key = false;
    };

    [[noreturn]] static void refuse(const YAML::Mark &mark, const std::string &why) { throw YAML::ParserException(mark, why); }

    static void check_tag(const YAML::Mark &mark, const std::string &tag) {
        if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (!name) are not allowed here");
    }

    void check(const YAML::Mark &mark, YAML::anchor_t anchor) {
        if (anchor != 0) refuse(mark, "anchors (&name) are not allowed here");
        if (++values_ > kMaxYamlValues) refuse(mark, std::format("there are more than {} values", kMaxYamlValues));
    }

    void open(const YAML::Mark &mark, YAML::anchor_t anchor, YamlValue::Kind kind) {
        check(mark, anchor);
        if (stack_.size() >= kMaxYamlDepth) refuse(mark, std::format("nested more than {} deep", kMaxYamlDepth));
        if (!stack_.empty() && wants_key()) refuse(mark, "a member's name must be a text");
        stack_.push_back({.value = {.kind = kind, .line = mark.line + 1}});
    }

    bool wants_key() const { return stack_.back().value.kind == YamlValue::Kind::map && !stack_.back().has_key; }

    void add(const YAML::Mark &mark, YAML::anchor_t anchor, YamlValue value) {
        check(mark, anchor);
        value.line = mark.line + 1;
        if (value.kind == YamlValue::Kind::scalar && !value.quoted && (value.text == "null" || value.text == "~")) {
            value = {.line = value.line};
        }
        if (!stack_.empty() && wants_key()) {
            if (value.kind != YamlValue::Kind::scalar) refuse(mark, "a member's name must be a text");
            Open &map = stack_.back();
            if (map.value.find(value.text) != nullptr) {
                refuse(mark, std::format("\"{}\" stands here twice", value.text.substr(0, 80)));
            }
            map.key = std::move(value.text);
            map.key_line = value.line;
            map.has_key = true;
            return;
        }
        attach(std::move(value));
    }

    void close() {
        YamlValue value = std::move(stack_.back().value);
        stack_.pop_back();
        attach(std::move(value));
    }

    void attach(YamlValue value) {
        if (stack_.empty()) {
            root_ = std::move(value);
            return;
        }
        Open &into = stack_.back();
        if (into.value.kind == YamlValue::Kind::list) {
            into.value.items.push_back(std::move(value));
        } else {
            into.value.members.push_back({.key = std::move(into.key), .line = into.key_line, .value = std::move(value)});
            into.has_key = false;
        }
    }

    YamlValue root_;
    std::vector<Open> stack_;
    std::size_t values_ = 0;
};

// Null: it is none.
OrderedJson number_of(const std::string &text) {
    const char *end = text.data() + text.size();
    std::int64_t whole = 0;
    if (const auto read = std::from_chars(text.data(), end, whole); read.ec == std::errc() && read.ptr == end) return whole;
    double real = 0;
    const bool digits = std::ranges::any_of(text, [](char c) { return c >= '0' && c <= '9'; });  // else it may be "inf" or "nan"
    const auto read = std::from_chars(text.data(), end, real);
    if (digits && read.ec == std::errc() && read.ptr == end && std::isfinite(real)) return real;  // "nan(1)" is none
    return nullptr;
}

}  // namespace

const YamlValue *YamlValue::find(std::string_view key) const {
    const auto found = std::ranges::find(members, key, &YamlMember::key);
    return found == members.end() ? nullptr : &found->value;
}

std::string_view yaml_kind_name(YamlValue::Kind kind) {
    switch (kind) {
        case YamlValue::Kind::null: return "nothing";
        case YamlValue::Kind::scalar: return "a text or number";
        case YamlValue::Kind::list: return "a list";
        case YamlValue::Kind::map: return "a map";
    }
    return "";
}

Result<YamlValue> parse_yaml(std::string_view text, std::string_view name) {
    const auto at = [&](int line, std::string_view message) {
        return fail(ErrorCode::invalid_argument, std::format("{}:{}: {}", name, line, message));
    };
    if (text.size() > kMaxYamlBytes) return at(1, std::format("larger than {} bytes", kMaxYamlBytes));
    // The parser would take it for an end.
    if (const std::size_t zero = text.find('\0'); zero != text.npos) {
        return at(static_cast<int>(std::ranges::count(text.substr(0, zero), '\n')) + 1, "there is a zero byte");
    }
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        TreeBuilder builder;
        if (!parser.HandleNextDocument(builder)) return at(1, "it is empty");
        TreeBuilder further;
        if (parser.HandleNextDocument(further)) return at(1, "there is more than one document in it");
        return builder.take();
    } catch (const YAML::Exception &error) {
        return at(error.mark.is_null() ? 1 : error.mark.line + 1, std::format("not valid YAML: {}", error.msg));
    } catch (const std::exception &error) {
        return at(1, std::format("not valid YAML: {}", error.what()));
    }
}

OrderedJson yaml_json(const YamlValue &value) {
    switch (value.kind) {
        case YamlValue::Kind::null: return nullptr;
        case YamlValue::Kind::scalar:
            if (value.quoted) return value.text;
            if (value.text == "true" || value.text == "false") return value.text == "true";
            if (OrderedJson number = number_of(value.text); number.is_number()) return number;
            return value.text;
        case YamlValue::Kind::list: {
            OrderedJson list = OrderedJson::array();
            for (const YamlValue &item : value.items) list.push_back(yaml_json(item));
            return list;
        }
        case YamlValue::Kind::map: {
            OrderedJson object = OrderedJson::object();
            for (const YamlMember &member : value.members) object[member.key] = yaml_json(member.value);
            return object;
        }
    }
    return nullptr;
}

}  // namespace engram::workflow

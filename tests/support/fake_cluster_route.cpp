// From a path to what is asked for, and the way of one request through the server.
#include <algorithm>
#include <cctype>

#include "base/text.hpp"
#include "support/fake_cluster_exec.hpp"
#include "support/fake_cluster_watch.hpp"
#include "support/fake_cluster_world.hpp"

namespace vmbackup::test {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decoded(std::string_view text, bool plus_is_blank) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
    if (escape) {
      result += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      result += plus_is_blank && text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

bool is_watch(const Request& request) {
  const auto watch = request.query.find("watch");
  return request.method == "GET" && watch != request.query.end() && (watch->second == "1" || watch->second == "true");
}

std::string verb_of(const Request& request, bool named, bool subresource_api) {
  if (request.method == "GET") return subresource_api || named ? "get" : is_watch(request) ? "watch" : "list";
  if (request.method == "POST") return "create";
  if (request.method == "PUT") return "update";
  if (request.method == "PATCH") return "patch";
  if (request.method == "DELETE") return named ? "delete" : "deletecollection";
  return "";
}

// Groups whose resources have no store.
bool storeless(const std::string& group) { return group == "subresources.kubevirt.io" || group == "authorization.k8s.io"; }

bool group_served(const World& world, const std::string& group, const std::string& version) {
  if (group == "subresources.kubevirt.io") return world.options.kubevirt_api && (version == "v1" || version == "v1alpha3");
  if (group == "authorization.k8s.io") return version == "v1";
  return std::any_of(all_kinds().begin(), all_kinds().end(), [&](const Kind& kind) {
    return kind.group == group && world.served(kind) &&
           std::find(kind.versions.begin(), kind.versions.end(), version) != kind.versions.end();
  });
}

}  // namespace

Request request_of(std::string method, std::string target) {
  Request request;
  request.method = std::move(method);
  const std::size_t question = target.find('?');
  request.path = decoded(std::string_view(target).substr(0, question), false);
  if (question != std::string::npos) {
    for (const std::string& pair : base::split(std::string_view(target).substr(question + 1), '&')) {
      const std::size_t equal = pair.find('=');
      const std::string key = decoded(std::string_view(pair).substr(0, equal), true);
      request.query[key] = equal == std::string::npos ? "" : decoded(std::string_view(pair).substr(equal + 1), true);
    }
  }
  request.target = std::move(target);
  return request;
}

void note_upgrade(Request& request, const std::vector<std::pair<std::string, std::string>>& headers) {
  bool websocket = false;
  std::string key;
  for (const auto& [name, value] : headers) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == "upgrade") websocket = value == "websocket";
    if (lower == "sec-websocket-key") key = value;
    if (lower != "sec-websocket-protocol") continue;
    for (const std::string& protocol : base::split(value, ',')) request.protocols.emplace_back(base::trim(protocol));
  }
  if (websocket) request.websocket_key = key;
}

std::optional<Route> route_of(const World& world, const Request& request) {
  std::vector<std::string> parts = base::split(request.path, '/');  // "", "apis", group, version, ...
  if (parts.size() < 4 || !parts.front().empty()) return std::nullopt;
  Route route;
  std::size_t next = 0;
  if (parts[1] == "api" && parts[2] == "v1") {
    route.version = "v1";
    next = 3;
  } else if (parts[1] == "apis" && parts.size() > 4) {
    route.group = parts[2];
    route.version = parts[3];
    next = 4;
  } else {
    return std::nullopt;
  }
  if (!group_served(world, route.group, route.version)) return std::nullopt;
  if (parts[next] == "namespaces" && parts.size() > next + 2) {
    route.ns = parts[next + 1];
    next += 2;
  }
  route.plural = parts[next];
  if (parts.size() > next + 1) route.name = parts[next + 1];
  if (parts.size() > next + 2) route.subresource = parts[next + 2];
  if (route.plural.empty() || parts.size() > next + 3) return std::nullopt;
  route.kind = find_kind(route.group, route.plural);
  if (route.group.empty() && route.plural == "namespaces") route.ns = route.name;
  if (route.kind == nullptr && !storeless(route.group)) return std::nullopt;
  route.verb = verb_of(request, !route.name.empty(), storeless(route.group) && !route.subresource.empty());
  return route;
}

namespace {

// What a fault makes of the answer; nothing: the request is served.
std::optional<Answer> answer_of(const Fault& fault) {
  switch (fault.action) {
    case Fault::Action::status: {
      Answer answer = fault.status == 401   ? unauthorized()
                      : fault.status == 429 ? too_many(-1)
                      : fault.status == 500 ? internal_error("injected")
                      : fault.status == 503 ? plain_text(503, "service unavailable\n")
                                            : failure(fault.status, "", "injected");
      if (!fault.text.empty()) answer = plain_text(fault.status, fault.text);
      if (fault.retry_after >= 0) answer.headers.emplace_back("retry-after", std::to_string(fault.retry_after));
      return answer;
    }
    case Fault::Action::junk:
      return plain_text(200, "<html><body>hello from a proxy</body></html>\n");
    case Fault::Action::reset: {
      Answer answer;
      answer.broken = Answer::Break::reset;
      return answer;
    }
    case Fault::Action::expired:
      return expired(
          "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
          "continue parameter.");
    default:
      return std::nullopt;
  }
}

// The exchange, with the fault's part in it.
Exchange spoiled(World& world, const Exchange& exchange, const Fault& fault) {
  Exchange result = exchange;
  const Fault::Action action = fault.action;
  const auto answer = exchange.answer;
  if (action == Fault::Action::delay) {
    result.answer = [&world, answer, pause = fault.delay](Answer value) { world.timers.in(pause, [answer, value] { answer(value); }); };
  } else if (action == Fault::Action::lose_answer || action == Fault::Action::half_body || action == Fault::Action::go_away) {
    result.answer = [answer, action](Answer value) {
      value.broken = action == Fault::Action::lose_answer ? Answer::Break::lose
                     : action == Fault::Action::half_body ? Answer::Break::half
                                                          : Answer::Break::go_away;
      answer(value);
    };
  }
  return result;
}

// Who may not ask is told so before it is found out that there is no such resource. [kubernetes 1.34, apiserver/pkg/endpoints/request]
Answer no_such_resource(const World& world, const Request& request) {
  if (allowed(world, request, Route{})) return no_such_path();
  const std::vector<std::string> parts = base::split(request.path, '/');
  if (request.method != "GET" || parts.size() != 5 || parts[1] != "apis") {
    return forbidden_path(*request.user, request.method == "GET" ? "get" : "post", request.path);
  }
  return forbidden(*request.user, "list", parts[2], parts[4], "", "", "");
}

// What the authorizer sees: a list or watch of one name asks for that name.
// [kubernetes 1.34, apiserver/pkg/endpoints/request/requestinfo.go]
Route authorized(const Request& request, Route route) {
  const auto selector = request.query.find("fieldSelector");
  const std::string one = "metadata.name=";
  if (!route.name.empty() || selector == request.query.end() || selector->second.rfind(one, 0) != 0) return route;
  if (selector->second.find(',') == std::string::npos) route.name = selector->second.substr(one.size());
  return route;
}

void dispatch(World& world, const Request& request, const std::optional<Route>& route, const Exchange& exchange,
              const std::optional<Fault>& fault) {
  if (const std::optional<Answer> found = discovery(world, request)) return exchange.answer(*found);
  if (!route) return exchange.answer(no_such_resource(world, request));
  if (route->group == "authorization.k8s.io") {
    return exchange.answer(route->plural == "selfsubjectaccessreviews" && request.method == "POST" ? review_access(world, request)
                                                                                                   : no_such_path());
  }
  const Route asked = authorized(request, *route);
  if (!allowed(world, request, asked)) {
    return exchange.answer(forbidden(*request.user, asked.verb, asked.group, asked.plural, asked.subresource, asked.ns, asked.name));
  }
  if (route->kind == nullptr) return run_subresource(world, request, *route, exchange.answer);
  if (route->kind == &kind("Pod") && route->subresource == "exec") return start_exec(world, request, *route, exchange, fault);
  exchange.answer(run_verb(world, request, *route));
}

}  // namespace

std::uint64_t World::serve(const Request& request, const Exchange& exchange) {
  const Section section(*this);
  const bool watching = is_watch(request);
  if (!request.internal) requests.push_back({request.method, request.target, request.user.value_or(""), 0, watching});
  const auto record = [this, recorded = !request.internal, index = forgotten_ + requests.size() - 1](int status) {
    if (recorded && index >= forgotten_ && index - forgotten_ < requests.size()) requests[index - forgotten_].status = status;
  };
  Exchange recorded = exchange;
  recorded.answer = [record, answer = exchange.answer](Answer value) {
    record(value.status);
    answer(std::move(value));
  };
  recorded.started = [record, started = exchange.started] {
    record(200);
    started();
  };
  if (exchange.upgraded) {
    recorded.upgraded = [record, upgraded = exchange.upgraded](const auto& headers, const auto& session) {
      record(101);
      upgraded(headers, session);
    };
  }
  const std::optional<Fault> fault = request.internal ? std::nullopt : faults.take(request.method, request.target, watching);
  const bool of_watch = fault && watching && is_about_watch(fault->action);
  if (fault && fault->action == Fault::Action::hang) return 0;
  if (fault && !of_watch) {
    if (std::optional<Answer> answer = answer_of(*fault)) {
      recorded.answer(*answer);
      return 0;
    }
    recorded = spoiled(*this, recorded, *fault);
  }
  if (!request.user) {
    recorded.answer(unauthorized());
    return 0;
  }
  const std::optional<Route> route = route_of(*this, request);
  if (watching && route && route->kind != nullptr && served(*route->kind) && route->subresource.empty() &&
      allowed(*this, request, authorized(request, *route))) {
    return watches->start(request, *route, recorded, of_watch ? fault : std::nullopt);
  }
  dispatch(*this, request, route, recorded, fault);
  return 0;
}

}  // namespace vmbackup::test

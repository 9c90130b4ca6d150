#include "cli/progress.hpp"

#include <doctest/doctest.h>

#include "base/text.hpp"
#include "support/fake_clock.hpp"

using namespace vmbackup;
using backup::Event;

namespace {

Event event(Event::Kind kind, const std::string& text = "", const std::string& disk = "") {
  return {kind, "prod", "db-0", "db-0-nightly", disk, text, test::FakeClock::default_wall_start()};
}

struct Stage {
  test::FakeClock clock;
  std::string text;
  cli::Output err;
  cli::Console console;
  explicit Stage(cli::ProgressStyle style, bool quiet = false, bool terminal = false, int width = 80)
      : err(text, terminal, width), console(err, clock, {style, quiet, false}) {}
};

}  // namespace

TEST_CASE("plain lines have time, subject and words") {
  Stage stage(cli::ProgressStyle::plain);
  {
    cli::Progress progress(stage.console, stage.clock, false);
    progress.on(event(Event::Kind::created, "u-1"));
    progress.on(event(Event::Kind::cut, "", "root"));
    progress.on(event(Event::Kind::disk_error, "no\x1bspace", "data"));
  }
  CHECK(stage.text ==
        "2026-01-02T03:04:05.000Z prod/db-0: created snapshot db-0-nightly\n"
        "2026-01-02T03:04:05.000Z prod/db-0: disk root: cut, by the storage's clock at 2026-01-02T03:04:05.000Z\n"
        "2026-01-02T03:04:05.000Z prod/db-0: disk data: the storage says: no\\x1bspace\n");
}

TEST_CASE("quiet keeps warnings") {
  for (const cli::ProgressStyle style : {cli::ProgressStyle::plain, cli::ProgressStyle::live, cli::ProgressStyle::none}) {
    Stage stage(style, true);
    {
      cli::Progress progress(stage.console, stage.clock, false);
      progress.on(event(Event::Kind::created));
      progress.on(event(Event::Kind::warning, "look out"));
    }
    CHECK(stage.text == "warning: look out\n");
  }
}

TEST_CASE("the live line is cleared at the end and never in the way of a line") {
  Stage stage(cli::ProgressStyle::live, false, true, 60);
  {
    cli::Progress progress(stage.console, stage.clock, false);
    progress.on(event(Event::Kind::created));
    CHECK(stage.text == "\r\x1b[Kprod/db-0: waiting for KubeVirt to begin (0s)");
    stage.text.clear();
    stage.console.warning("look out");
    CHECK(stage.text == "\r\x1b[Kwarning: look out\nprod/db-0: waiting for KubeVirt to begin (0s)");
    stage.text.clear();
  }
  CHECK(stage.text == "\r\x1b[K");
}

TEST_CASE("the live line is never wider than the terminal") {
  Stage stage(cli::ProgressStyle::live, false, true, 24);
  stage.console.live("0123456789012345678901234567890");
  CHECK(stage.text == "\r\x1b[K012345678901234567...");
  stage.text.clear();
  stage.console.live("prod/db-0: waiting for the cut of root", " (12s)");
  CHECK(stage.text == "\r\x1b[Kprod/db-0: w... (12s)");
  CHECK(cli::cut_to_width("\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd", 6) == "\xe4\xbd\xa0...");
  CHECK(cli::cut_to_width("abc", 3) == "abc");
}

TEST_CASE("it names what is waited for and since when") {
  cli::Waiting waiting;
  base::TimePoint now{std::chrono::hours(1)};
  CHECK(waiting.line(now).empty());
  waiting.on(event(Event::Kind::created), now);
  now += std::chrono::seconds(3);
  CHECK(waiting.line(now) == "prod/db-0: waiting for KubeVirt to begin (3s)");
  waiting.on(event(Event::Kind::waiting, "Source not locked"), now);
  CHECK(waiting.line(now) == "prod/db-0: waiting, KubeVirt says: Source not locked (0s)");
  waiting.on(event(Event::Kind::disk_begun, "vs-1", "root"), now);
  waiting.on(event(Event::Kind::disk_begun, "vs-2", "data"), now);
  CHECK(waiting.line(now) == "prod/db-0: waiting for the cut of root, data (0s)");
  waiting.on(event(Event::Kind::cut, "", "root"), now);
  CHECK(waiting.line(now + std::chrono::seconds(12)) == "prod/db-0: waiting for the cut of data (12s)");
  waiting.on(event(Event::Kind::disk_error, "pool is full", "data"), now);
  CHECK(waiting.line(now) == "prod/db-0: the storage says of disk data: pool is full (0s)");
  waiting.on(event(Event::Kind::cut, "", "data"), now);
  waiting.on(event(Event::Kind::disk_ready, "", "root"), now);
  CHECK(waiting.line(now) == "prod/db-0: cut; waiting for data to be ready to use (0s)");
  waiting.on(event(Event::Kind::disk_ready, "", "data"), now);
  CHECK(waiting.line(now) == "prod/db-0: cut; waiting for KubeVirt to finish (0s)");
}

TEST_CASE("of several it names the one that has not moved for longest, and forgets those that ended") {
  Stage stage(cli::ProgressStyle::live, false, true);
  cli::Progress progress(stage.console, stage.clock, false);
  const auto of = [](const std::string& vm, Event::Kind kind, const std::string& text = "") {
    Event told = event(kind, text);
    told.vm = vm;
    told.object = vm + "-nightly";
    return told;
  };
  const auto line = [&](const Event& told) {
    stage.text.clear();
    progress.on(told);
    return stage.text;
  };
  progress.on(of("db-0", Event::Kind::phase, "InProgress"));
  stage.clock.advance(std::chrono::seconds(5));
  CHECK(line(of("web-0", Event::Kind::phase, "InProgress")) == "\r\x1b[Kprod/db-0: waiting for KubeVirt to begin (5s), and 1 more");
  stage.clock.advance(std::chrono::seconds(1));
  CHECK(line(of("db-0", Event::Kind::waiting, "Source not locked")) ==
        "\r\x1b[Kprod/web-0: waiting for KubeVirt to begin (1s), and 1 more");
  CHECK(line(of("web-0", Event::Kind::ended)) == "\r\x1b[Kprod/db-0: waiting, KubeVirt says: Source not locked (0s)");
}

TEST_CASE("JSON lines: events, and the result last") {
  Stage stage(cli::ProgressStyle::json);
  {
    cli::Progress progress(stage.console, stage.clock, false);
    progress.on(event(Event::Kind::phase, "InProgress"));
  }
  stage.console.line("not seen");
  stage.console.note("a note");
  stage.console.result(json::Value::object({{"kind", "X"}}), 3);
  const std::vector<std::string> lines = base::split(stage.text, '\n');
  REQUIRE(lines.size() == 4);
  CHECK(
      lines[0] ==
      R"({"type":"event","time":"2026-01-02T03:04:05.000Z","event":"phase","namespace":"prod","vm":"db-0","object":"db-0-nightly","disk":"","text":"InProgress","eventTime":"2026-01-02T03:04:05.000Z"})");
  CHECK(lines[1] == R"({"type":"note","time":"2026-01-02T03:04:05.000Z","message":"a note"})");
  CHECK(lines[2] == R"({"type":"result","time":"2026-01-02T03:04:05.000Z","exitCode":3,"report":{"kind":"X"}})");
  CHECK(lines[3].empty());
}

TEST_CASE("an error as JSON has its exit code") {
  Stage stage(cli::ProgressStyle::json);
  stage.console.error(base::Error(base::ErrorCode::usage, "m"), 2);
  CHECK(
      stage.text ==
      R"({"type":"error","time":"2026-01-02T03:04:05.000Z","exitCode":2,"error":{"code":"usage","message":"m","hint":"","reason":"","causes":[]}})"
      "\n");
}

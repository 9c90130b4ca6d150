#include "kube/selector.hpp"

#include <doctest/doctest.h>

using vmbackup::base::ErrorCode;
using vmbackup::kube::check_label_selector;

TEST_CASE("selectors that the API server takes") {
  for (const char* text : {"app=db", "app==db", "app!=db", "app", "!app", "! app", "app=", "kubernetes.io/os=linux", "a=1,b!=2, c ,!d",
                           "zone in (a,b)", "zone notin (a, b),app=db", "zone in (a)", "zone in (a,)", "a_b.c-d=E_f.g"}) {
    CAPTURE(text);
    CHECK(check_label_selector(text).ok());
  }
}

TEST_CASE("selectors that it refuses") {
  for (const char* text : {"", " ", "=db", "app=a b", "app=-a", "-app", "app=db,", ",app", "a=b=c", "zone in a", "zone in (a",
                           "zone within (a)", "/name=x", "pre fix/name", "app=(a)", "app in (a b)", "a!b"}) {
    CAPTURE(text);
    const vmbackup::base::Result<void> checked = check_label_selector(text);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().code() == ErrorCode::usage);
    CHECK_FALSE(checked.error().hint().empty());
  }
  CHECK_FALSE(check_label_selector("app=" + std::string(64, 'x')).ok());
}

TEST_CASE("labels that the API server takes, and that it refuses") {
  using vmbackup::kube::check_label;
  for (const char* key : {"app", "example.com/app", "a.b-c.d/E_f.g", "A", "1"}) {
    CAPTURE(key);
    CHECK(check_label(key, "x").ok());
  }
  for (const char* key :
       {"", "/app", "example.com/", "Example.com/app", "a_b.com/app", "a..b/c", "-a/b", "a/b/c", "-app", "a b", "app=", "\n"}) {
    CAPTURE(key);
    const vmbackup::base::Result<void> checked = check_label(key, "x");
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().code() == ErrorCode::usage);
    CHECK_FALSE(checked.error().hint().empty());
  }
  CHECK(check_label("app", "").ok());
  CHECK(check_label("app", "a_B.c-1").ok());
  CHECK(check_label("app", std::string(63, 'x')).ok());
  CHECK_FALSE(check_label("app", std::string(64, 'x')).ok());
  CHECK_FALSE(check_label(std::string(64, 'x'), "x").ok());
  CHECK_FALSE(check_label(std::string(254, 'x') + "/app", "x").ok());
  for (const char* value : {"a b", "-", "a=b", "a/b", "a,b", "x."}) {
    CAPTURE(value);
    CHECK_FALSE(check_label("app", value).ok());
  }
}

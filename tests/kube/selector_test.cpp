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

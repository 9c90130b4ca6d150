#!/usr/bin/env python3
"""The layer lint must find each kind of violation, and nothing in a tree that keeps the rules."""
import tempfile
import unittest
from pathlib import Path

import layers


def findings(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if path.suffix == ".cpp" else "#pragma once\n" + text, encoding="utf-8")
        return list(layers.check(root))


class Layers(unittest.TestCase):
    def test_accepts(self):
        for name, text in [
            ("lib/base/text.cpp", '#include "base/text.hpp"\n#include <vector>\n'),
            ("lib/base/clock.cpp", "std::this_thread::sleep_for(1s);\n"),
            ("lib/json/value.cpp", "#include <rapidjson/document.h>\n#include <yaml-cpp/yaml.h>\n"),
            ("lib/kube/curl_transport.cpp", "#include <curl/curl.h>\n"),
            ("lib/kube/watch.cpp", "// a VirtualMachine, say\n"),
            ("lib/backup/snapshot.cpp", '#include "kubevirt/vm_snapshot.hpp"\n// https://kubevirt.io, printf(\nint n = 1\'000;\n'),
            ("cli/context.cpp", '#include "kube/kubeconfig.hpp"\n#include "kubevirt/resources.hpp"\n'),
            ("cli/commands/list.cpp", '#include <CLI/CLI.hpp>\n#include "backup/report.hpp"\n#include "cli/view.hpp"\n'),
            ("tests/kube/watch_test.cpp", '#include "backup/plan.hpp"\n#include <curl/curl.h>\n'),
        ]:
            with self.subTest(name=name):
                self.assertEqual(findings({name: text}), [])

    def test_finds(self):
        for name, text, line, message in [
            ("lib/base/a.cpp", '\n#include "json/value.hpp"\n', 2, "base must not include json/value.hpp"),
            ("lib/base/a.cpp", "#include <curl/curl.h>\n", 1, "must not include curl"),
            ("lib/base/a.cpp", "#include <fmt/format.h>\n", 1, "must not include fmt"),
            ("lib/base/a.cpp", "// the pod\n", 1, "base knows no Kubernetes"),
            ("lib/json/a.hpp", "#include <rapidjson/document.h>\n", 2, "must not include rapidjson"),
            ("lib/json/a.cpp", 'get("metadata");\n', 1, "no field of any API"),
            ("lib/kube/a.cpp", "#include <curl/curl.h>\n", 1, "must not include curl"),
            ("lib/kube/a.cpp", 'f("VirtualMachineSnapshot");\n', 1, "no KubeVirt"),
            ("lib/kube/a.cpp", "#include <openssl/sha.h>\n", 1, "must not include openssl"),
            ("lib/kubevirt/a.cpp", '#include "backup/plan.hpp"\n', 1, "kubevirt must not include backup"),
            ("lib/backup/a.cpp", '#include "json/value.hpp"\n', 1, "backup must not include json"),
            ("lib/backup/a.cpp", '#include "kube/transport.hpp"\n', 1, "backup must not include kube/transport.hpp"),
            ("lib/backup/a.cpp", 'get("/apis/kubevirt.io");\n', 1, "no URLs"),
            ("lib/backup/a.cpp", 'getenv("HOME");\n', 1, "no environment"),
            ("lib/backup/a.cpp", 'auto r = R"(x\ny)";\nstd::cout << 1;\n', 3, "prints nothing"),
            ("lib/backup/a.cpp", "std::exit(1);\n", 1, "only main"),
            ("lib/kube/a.cpp", "std::this_thread::sleep_for(1s);\n", 1, "only sleep"),
            ("cli/commands/a.cpp", "usleep(5);\n", 1, "only sleep"),
            ("cli/commands/a.cpp", '#include "kube/client.hpp"\n', 1, "cli must not include kube"),
            ("cli/commands/a.cpp", 'f("/api/v1");\n', 1, "API paths"),
            ("cli/a.cpp", '#include "view.hpp"\n', 1, "included as"),
            ("cli/a.cpp", "#include <base/error.hpp>\n", 1, 'included in ""'),
            ("tests/base/a_test.cpp", "std::this_thread::sleep_for(1ms);\n", 1, "no test sleeps"),
        ]:
            with self.subTest(name=name, text=text):
                found = findings({name: text})
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].startswith(f"{name}:{line}: "), found)
                self.assertIn(message, found[0])

    def test_finds_bad_names(self):
        self.assertIn("lib/util: a folder", findings({"lib/util/a.cpp": ""})[0])
        self.assertIn("snake_case", findings({"lib/base/BadName.cpp": ""})[0])
        with tempfile.TemporaryDirectory() as root:
            Path(root, "lib/base").mkdir(parents=True)
            Path(root, "lib/base/a.hpp").write_text("int a();\n", encoding="utf-8")
            self.assertIn("#pragma once", list(layers.check(root))[0])


if __name__ == "__main__":
    unittest.main()

package main

import "testing"

func TestVersionRuleOfTheFreezeWait(t *testing.T) {
	for version, want := range map[string]bool{"v1.9.0": true, "1.8.0": true, "v1.7.0": false, "v1.7.2": true, "v1.6.3": false, "v1.6.4": true,
		"v1.5.9": false, "devel": true} {
		if got := awaitsFreezeLonger(version); got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}

func TestLetters(t *testing.T) {
	for i, want := range map[int]string{0: "a", 25: "z", 26: "aa", 51: "az", 52: "ba", 701: "zz", 702: "aaa"} {
		if got := letters(i); got != want {
			t.Errorf("letters(%d) is %s, not %s", i, got, want)
		}
	}
}

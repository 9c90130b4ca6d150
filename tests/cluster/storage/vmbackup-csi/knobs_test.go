package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestKnobsForPicksTheLongestFittingGlob(t *testing.T) {
	class := map[string]string{
		"snapshotDelay":                "1",
		"snapshotDelay@*":              "2",
		"snapshotDelay@*-d2":           "3s",
		"snapshotDelay@db-0-d2":        "never",
		"failSnapshots@db-*":           "always",
		sidecarPrefix + "pvc/name":     "db-0-d2",
		sidecarPrefix + "pv/unheardOf": "x",
	}
	for _, c := range []struct {
		pvc  string
		want knobs
	}{
		{"db-0-d2", knobs{"snapshotDelay": "never", "failSnapshots": "always"}},
		{"web-d2", knobs{"snapshotDelay": "3s"}},
		{"db-0", knobs{"snapshotDelay": "2", "failSnapshots": "always"}},
		{"web", knobs{"snapshotDelay": "2"}},
	} {
		got, err := knobsFor(class, c.pvc, snapshotKnobs)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, %v; want %v", c.pvc, got, err, c.want)
		}
	}
	delete(class, "snapshotDelay@*")
	if got, _ := knobsFor(class, "web", snapshotKnobs); got["snapshotDelay"] != "1" {
		t.Errorf("without a fitting glob: got %v, want the plain knob", got)
	}
}

func TestKnobsForRefusesWhatMeansNothing(t *testing.T) {
	for _, c := range []struct{ key, value, says string }{
		{"snapshotDelya", "1", "unknown class parameter"},
		{"failProvision", "always", "unknown class parameter"}, // not one of a snapshot class
		{"snapshotDelay", "soon", "no delay"},
		{"snapshotDelay", "-1", "no delay"},
		{"readyDelay", "-1s", "no delay"},
		{"readyDelay@other", "soon", "no delay"}, // wrong for somebody, so wrong for all
		{"failSnapshots", "first", "wants a number"},
		{"failSnapshots", "first:x", "wants a number"},
		{"failSnapshots", "first:-1", "wants a number"},
		{"failCode", "OK", "no gRPC error code"},
		{"failCode", "BROKEN", "no gRPC error code"},
		{"snapshotDelay@[", "1", "bad glob"},
		{"snapshotDelay@", "1", "bad glob"},
	} {
		_, err := knobsFor(map[string]string{c.key: c.value}, "pvc", snapshotKnobs)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.key) {
			t.Errorf("%s=%s: got %v, want %q", c.key, c.value, err, c.says)
		}
	}
}

func TestParseDelay(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "6": 6 * time.Second, "6s": 6 * time.Second, "1m30s": 90 * time.Second, "never": never,
	} {
		if got, err := parseDelay(value); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", value, got, err, want)
		}
	}
}

func TestFailureCountsAttempts(t *testing.T) {
	for _, c := range []struct {
		value string
		fails []string // the text of attempt 1, 2, ...; "" where it succeeds
	}{
		{"", []string{"", ""}},
		{"none", []string{"", ""}},
		{"always", []string{"otherwise", "otherwise", "otherwise"}},
		{"always:a: b", []string{"a: b", "a: b"}},
		{"first:0", []string{""}},
		{"first:2", []string{"otherwise", "otherwise", "", ""}},
		{"first:1:disk: on fire", []string{"disk: on fire", ""}},
		{"disk: on fire", []string{"disk: on fire", "disk: on fire"}},
		{"none: left", []string{"none: left"}},
	} {
		for i, want := range c.fails {
			err := knobs{"failSnapshots": c.value}.failure("failSnapshots", i+1, "otherwise")
			if got := status.Convert(err).Message(); got != want {
				t.Errorf("%q, attempt %d: got %q, want %q", c.value, i+1, got, want)
			}
			if err != nil && status.Code(err) != codes.Internal {
				t.Errorf("%q: code %v, want Internal", c.value, status.Code(err))
			}
		}
	}
}

func TestFailCodeInEitherSpelling(t *testing.T) {
	for value, want := range map[string]codes.Code{
		"": codes.Internal, "INTERNAL": codes.Internal, "DEADLINE_EXCEEDED": codes.DeadlineExceeded, "DeadlineExceeded": codes.DeadlineExceeded,
		"Canceled": codes.Canceled, "CANCELLED": codes.Canceled, "unavailable": codes.Unavailable, "UNAUTHENTICATED": codes.Unauthenticated,
	} {
		err := knobs{"failDelete": "always", "failCode": value}.failure("failDelete", 1, "x")
		if status.Code(err) != want {
			t.Errorf("%q: got %v, want %v", value, status.Code(err), want)
		}
	}
}

func TestSnapshotObeysItsClassThenTheVolumesClass(t *testing.T) {
	got := snapshotKnobsOf(
		knobs{"snapshotDelay": "0"},
		knobs{"snapshotDelay": "6s", "readyDelay": "never", "failDelete": "always", "failDeleteSnapshot": "first:1", "failProvision": "always"})
	want := knobs{"snapshotDelay": "0", "readyDelay": "never", "failDelete": "first:1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

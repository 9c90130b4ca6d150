package main

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// never is the delay that only the end of the request ends.
const never = time.Duration(-1)

// sidecarPrefix starts the keys that the sidecars add to a class's parameters (--extra-create-metadata).
const sidecarPrefix = "csi.storage.k8s.io/"

var (
	volumeKnobs = []string{"provisionDelay", "failProvision", "failDelete", "failDeleteSnapshot", "failCode",
		"snapshotDelay", "readyDelay", "failSnapshots"}
	snapshotKnobs = []string{"snapshotDelay", "readyDelay", "failSnapshots", "failDelete", "failCode"}
)

// knobs are the values that hold for one PVC, by knob name without glob.
type knobs map[string]string

// knobsFor picks from a class's parameters the knobs that hold for the PVC of that name. allowed lists what the class may
// set. The error is for the user: unknown name, bad glob, or a value that means nothing, wherever in the class it stands.
func knobsFor(parameters map[string]string, pvc string, allowed []string) (knobs, error) {
	chosen := knobs{}
	glob := map[string]string{}
	keys := make([]string, 0, len(parameters))
	for key := range parameters {
		keys = append(keys, key)
	}
	slices.Sort(keys) // equally long globs: the first in this order wins, on every run
	for _, key := range keys {
		if strings.HasPrefix(key, sidecarPrefix) {
			continue
		}
		name, pattern, limited := strings.Cut(key, "@")
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("unknown class parameter %q", key)
		}
		if err := checkKnob(name, parameters[key]); err != nil {
			return nil, fmt.Errorf("class parameter %q: %w", key, err)
		}
		if limited {
			fits, err := path.Match(pattern, pvc)
			if err != nil || pattern == "" {
				return nil, fmt.Errorf("class parameter %q: bad glob", key)
			}
			if !fits {
				continue
			}
		}
		if previous, set := glob[name]; !set || len(pattern) > len(previous) {
			glob[name] = pattern
			chosen[name] = parameters[key]
		}
	}
	return chosen, nil
}

// over returns the knobs of k and, for those that k does not set, the ones of lower.
func (k knobs) over(lower knobs) knobs {
	all := knobs{}
	for name, value := range lower {
		all[name] = value
	}
	for name, value := range k {
		all[name] = value
	}
	return all
}

func checkKnob(name, value string) error {
	var err error
	switch {
	case strings.HasSuffix(name, "Delay"):
		_, err = parseDelay(value)
	case name == "failCode":
		_, err = parseCode(value)
	default:
		_, err = parseFailure(value)
	}
	return err
}

// delay returns the time that a knob asks for, or never. Knobs were checked when they were chosen.
func (k knobs) delay(name string) time.Duration {
	d, _ := parseDelay(k[name])
	return d
}

// failure returns the error that the attempt-th try (from 1) at something ends with, or nil.
func (k knobs) failure(name string, attempt int, otherwise string) error {
	f, _ := parseFailure(k[name])
	if attempt > f.attempts {
		return nil
	}
	code, _ := parseCode(k["failCode"])
	if f.text == "" {
		f.text = otherwise
	}
	return status.Error(code, f.text)
}

// parseDelay reads "", seconds, a Go duration, or "never".
func parseDelay(value string) (time.Duration, error) {
	if value == "" {
		return 0, nil
	}
	if value == "never" {
		return never, nil
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no delay (seconds, a duration as 1m30s, never)", value)
	}
	return d, nil
}

// failure is a failing knob's value: the first so many attempts fail, with this text ("" for the knob's own).
type failure struct {
	attempts int
	text     string
}

const always = int(^uint(0) >> 1)

// parseFailure reads none, always[:TEXT], first:N[:TEXT] or TEXT.
func parseFailure(value string) (failure, error) {
	keyword, rest, _ := strings.Cut(value, ":")
	switch keyword {
	case "", "none":
		if rest == "" {
			return failure{}, nil
		}
	case "always":
		return failure{always, rest}, nil
	case "first":
		number, text, _ := strings.Cut(rest, ":")
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return failure{}, fmt.Errorf("%q: first: wants a number", value)
		}
		return failure{int(n), text}, nil
	}
	return failure{always, value}, nil
}

// parseCode reads the name of a gRPC code in either spelling, DEADLINE_EXCEEDED or DeadlineExceeded; "" is Internal.
func parseCode(value string) (codes.Code, error) {
	if value == "" {
		return codes.Internal, nil
	}
	wanted := strings.ToLower(strings.ReplaceAll(value, "_", ""))
	if wanted == "cancelled" {
		wanted = "canceled"
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		if strings.ToLower(code.String()) == wanted {
			return code, nil
		}
	}
	return codes.Internal, fmt.Errorf("%q is no gRPC error code", value)
}

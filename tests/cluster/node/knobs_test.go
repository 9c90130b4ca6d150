package main

import (
	"strings"
	"testing"
	"time"
)

func TestKnobDefaults(t *testing.T) {
	k, err := parseKnobs(map[string]string{"kubevirt.io/other": "x"})
	must(t, err)
	if k.Agent != "connected" || k.OSID != "debian" || k.Windows || k.Freeze.Mode != "ok" || k.Thaw.Mode != "ok" || k.AgentDelay != time.Second {
		t.Fatalf("%+v", k)
	}
}

func TestKnobsAreRead(t *testing.T) {
	k, err := parseKnobs(map[string]string{
		knobPrefix + "agent": "flapping:2s", knobPrefix + "agent-delay": "5s", knobPrefix + "boot": "100ms",
		knobPrefix + "freeze": "slow:14s", knobPrefix + "thaw": "fail:2", knobPrefix + "os": "windows",
		knobPrefix + "shutdown": "never", knobPrefix + "power": "crash", knobPrefix + "guest-exec": "hang",
		knobPrefix + "freeze-blocked": "absent", knobPrefix + "raw-disks": "a,b",
	})
	must(t, err)
	if k.Agent != "flapping" || k.AgentFlap != 2*time.Second || k.AgentDelay != 5*time.Second || k.Boot != 100*time.Millisecond ||
		k.Freeze != (Action{Mode: "slow", For: 14 * time.Second}) || k.Thaw != (Action{Mode: "fail", N: 2}) || k.OSID != "mswindows" ||
		k.Shutdown.Mode != "never" || k.Power != "crash" || k.GuestExec.Mode != "hang" || k.FreezeBlocked != "absent" || !k.RawDisks["b"] {
		t.Fatalf("%+v", k)
	}
}

func TestWrongKnobsAreRefused(t *testing.T) {
	for key, value := range map[string]string{"freze": "ok", "freeze": "slow", "thaw": "fail:x", "agent": "sometimes", "os": "beos",
		"shutdown": "never:3s", "power": "maybe", "boot": "5", "agent-delay": "soon", "guest-exec": "fail:0"} {
		_, err := parseKnobs(map[string]string{knobPrefix + key: value})
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
}

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// knobPrefix starts the annotations on a VirtualMachine's template (hence on the VMI) that choose how its guest
// behaves. They are read from the VMI at every use, so a test may change them on the running VMI.
const knobPrefix = "guest.vmbackup.test/"

// Knobs is the behaviour of one guest. Zero durations with a Forever or Hang mode have no end.
type Knobs struct {
	Agent      string        // agent=connected|none|hung|flapping[:D]  hung: the channel is open, nothing is answered
	AgentFlap  time.Duration // half period of flapping (default 3s)
	AgentDelay time.Duration // agent-delay=D   from power-on to the agent's channel (default 1s)
	Boot       time.Duration // boot=D          from phase Scheduled to Running (default 0)

	Freeze Action // freeze=ok|fail[:N]|slow:D|hang[:D]
	Thaw   Action // thaw=ok|fail[:N]|slow:D|hang[:D]

	Windows       bool            // os=linux|windows
	OSID          string          // os-id=ID        guestOSInfo.id (default debian, mswindows)
	Shutdown      Action          // shutdown=ok|slow:D|never
	Power         string          // power=off|crash  happens as soon as the guest runs
	GuestExec     Action          // guest-exec=ok|fail:N|hang|blocked  N is the exit code of the command; blocked: the agent does not allow it
	FreezeBlocked string          // freeze-blocked=true|absent  the agent has its fsfreeze commands disabled (or does not know them)
	RawDisks      map[string]bool // raw-disks=VOLUME,...  the agent lists no file system on these
}

// Action is one knob of the form mode[:argument].
type Action struct {
	Mode string        // ok, fail, slow, hang, never
	For  time.Duration // slow:D, hang:D
	N    int           // fail:N
}

// parseKnobs reads the annotations of a VMI. What it does not understand is an error: a misspelt knob must not pass
// for the default.
func parseKnobs(annotations map[string]string) (Knobs, error) {
	k := Knobs{Agent: "connected", AgentFlap: 3 * time.Second, AgentDelay: time.Second,
		Freeze: Action{Mode: "ok"}, Thaw: Action{Mode: "ok"}, Shutdown: Action{Mode: "ok"}, GuestExec: Action{Mode: "ok"}}
	var wrong []string
	for key, value := range annotations {
		name, ours := strings.CutPrefix(key, knobPrefix)
		if !ours {
			continue
		}
		var err error
		switch name {
		case "agent":
			mode, arg, has := strings.Cut(value, ":")
			k.Agent = mode
			if has && mode == "flapping" {
				k.AgentFlap, err = time.ParseDuration(arg)
			} else if has {
				err = fmt.Errorf("takes no argument")
			}
			err = firstError(err, oneOf(mode, "connected", "none", "hung", "flapping"))
		case "agent-delay":
			k.AgentDelay, err = time.ParseDuration(value)
		case "boot":
			k.Boot, err = time.ParseDuration(value)
		case "freeze":
			k.Freeze, err = parseAction(value, "ok", "fail", "slow", "hang")
		case "thaw":
			k.Thaw, err = parseAction(value, "ok", "fail", "slow", "hang")
		case "shutdown":
			k.Shutdown, err = parseAction(value, "ok", "slow", "never")
		case "guest-exec":
			k.GuestExec, err = parseAction(value, "ok", "fail", "hang", "blocked")
		case "os":
			k.Windows = value == "windows"
			err = oneOf(value, "linux", "windows")
		case "os-id":
			k.OSID = value
		case "power":
			k.Power = value
			err = oneOf(value, "on", "off", "crash")
		case "freeze-blocked":
			k.FreezeBlocked = value
			err = oneOf(value, "true", "absent", "false")
		case "raw-disks":
			k.RawDisks = map[string]bool{}
			for _, v := range strings.Split(value, ",") {
				k.RawDisks[v] = true
			}
		default:
			err = fmt.Errorf("no such knob")
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s=%s: %v", key, value, err))
		}
	}
	if k.OSID == "" {
		k.OSID = "debian"
		if k.Windows {
			k.OSID = "mswindows"
		}
	}
	if k.FreezeBlocked == "false" {
		k.FreezeBlocked = ""
	}
	if len(wrong) > 0 {
		return k, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return k, nil
}

func parseAction(value string, modes ...string) (Action, error) {
	mode, arg, has := strings.Cut(value, ":")
	a := Action{Mode: mode}
	if err := oneOf(mode, modes...); err != nil {
		return a, err
	}
	var err error
	switch {
	case mode == "slow" && !has:
		err = fmt.Errorf("slow needs a duration")
	case !has:
	case mode == "slow" || mode == "hang":
		a.For, err = time.ParseDuration(arg)
	case mode == "fail":
		a.N, err = strconv.Atoi(arg)
		if err == nil && a.N < 1 {
			err = fmt.Errorf("want a number above 0")
		}
	default:
		err = fmt.Errorf("%s takes no argument", mode)
	}
	return a, err
}

func oneOf(value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("want one of %s", strings.Join(allowed, ", "))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

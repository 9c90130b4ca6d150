package main

// The guest agent's own commands, as virsh qemu-agent-command sends them (qga/qapi-schema.json).

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

const agentVersion = "9.1.0"

// AgentCommand is a raw agent command, as virsh qemu-agent-command sends it. It goes past virt-launcher: a freeze or
// thaw here neither starts nor ends a safety timer.
func (g *Guest) AgentCommand(raw []byte) (any, error) {
	var request struct {
		Execute   string          `json:"execute"`
		Arguments json.RawMessage `json:"arguments"`
	}
	if err := json.Unmarshal(raw, &request); err != nil || request.Execute == "" {
		return nil, agentFailed("", "Invalid JSON syntax")
	}
	empty := map[string]any{}
	g.mu.Lock()
	filesystems := len(g.specs)
	g.mu.Unlock()
	switch request.Execute {
	case "guest-fsfreeze-status":
		frozen, err := g.AgentStatus()
		if frozen {
			return "frozen", err
		}
		return "thawed", err
	case "guest-fsfreeze-freeze":
		g.event("freeze-request", Fields{"by": "virsh"})
		err := g.AgentFreeze()
		if err != nil {
			g.event("freeze-failed", Fields{"by": "virsh", "error": err.Error()})
		}
		return filesystems, err
	case "guest-fsfreeze-thaw":
		g.event("thaw-request", Fields{"by": "virsh"})
		err := g.AgentThaw()
		if err != nil {
			g.event("thaw-failed", Fields{"by": "virsh", "error": err.Error()})
		}
		return filesystems, err
	}
	var answer any = empty
	err := g.withAgent(request.Execute, func(boot int, k Knobs) error {
		switch request.Execute {
		case "guest-info":
			answer = map[string]any{"version": agentVersion, "supported_commands": guestInfoCommands(g.supportedCommands())}
		case "guest-get-osinfo":
			os := osInfo(k)
			answer = map[string]any{"id": os["id"], "name": os["name"], "pretty-name": os["prettyName"], "version": os["version"]}
		case "guest-exec":
			var e guestExec
			if err := json.Unmarshal(request.Arguments, &e); err != nil || e.Path == "" {
				return agentFailed("guest-exec", "Parameter 'path' is missing")
			}
			if e.Path == "/missing" {
				return agentFailed("guest-exec", "Guest agent command failed, error was 'Failed to execute child process “/missing” (No such file or directory)'")
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			var p *guestProcess
			if k.GuestExec.Mode == "ok" {
				p = g.program(e)
			}
			if p == nil {
				p = &guestProcess{forever: k.GuestExec.Mode == "hang", ends: g.clock.Now(), out: strings.Join(append([]string{e.Path}, e.Arg...), " ") + "\n"}
				if k.GuestExec.Mode == "fail" {
					p.code = max(k.GuestExec.N, 1)
				}
			}
			if e.Capture != true {
				p.out = ""
			}
			g.lastPID++
			pid := 1000 + g.lastPID
			g.execs[pid] = p
			g.event("guest-exec", Fields{"path": e.Path, "arg": e.Arg, "pid": pid, "code": p.code, "n": g.journal.Last()})
			answer = map[string]any{"pid": pid}
		case "guest-exec-status":
			var a struct {
				PID int64 `json:"pid"`
			}
			if err := json.Unmarshal(request.Arguments, &a); err != nil {
				return agentFailed("guest-exec-status", "Parameter 'pid' is missing")
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			p := g.execs[a.PID]
			switch {
			case p == nil:
				return agentFailed("guest-exec-status", fmt.Sprintf("PID %d does not exist", a.PID))
			case p.running(g.clock.Now()):
				answer = map[string]any{"exited": false}
			default:
				status := map[string]any{"exited": true}
				if p.signal != 0 {
					status["signal"] = p.signal
				} else {
					status["exitcode"] = p.code
				}
				if p.out != "" {
					status["out-data"] = base64.StdEncoding.EncodeToString([]byte(p.out))
				}
				answer = status
				delete(g.execs, a.PID) // the agent forgets a process once its end was told
			}
		case "guest-ping", "guest-sync", "guest-sync-delimited":
		default:
			return agentFailed(request.Execute, "the stand-in does not play this command")
		}
		return nil
	})
	return answer, err
}

func guestInfoCommands(commands []AgentCommand) []map[string]any {
	var out []map[string]any
	for _, c := range commands {
		out = append(out, map[string]any{"name": c.Name, "enabled": c.Enabled, "success-response": true})
	}
	return out
}

// osInfo is what the agent says of the guest, in the words of VMI status.
func osInfo(k Knobs) map[string]any {
	if k.Windows {
		return map[string]any{"id": k.OSID, "name": "Microsoft Windows", "prettyName": "Windows Server 2022 Standard",
			"version": "Microsoft Windows Server 2022", "versionId": "2022", "kernelRelease": "20348", "kernelVersion": "10.0", "machine": "x86_64"}
	}
	return map[string]any{"id": k.OSID, "name": "Debian GNU/Linux", "prettyName": "Debian GNU/Linux 12 (bookworm)",
		"version": "12 (bookworm)", "versionId": "12", "kernelRelease": "6.1.0-40-amd64", "kernelVersion": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1", "machine": "x86_64"}
}

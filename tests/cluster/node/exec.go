package main

// What runs in the pods: exec in container compute answers virt-freezer (cmd/virt-freezer) and the few virsh commands
// that reach the guest agent; in any container true, false, echo, cat, xargs and
// those of programs.go.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// streams is one exec session.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func exitWith(code int) error {
	return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
}

// ExecInContainer serves remotecommand.ServeExec; name is NAMESPACE/POD.
func (k *Kubelet) ExecInContainer(_ context.Context, name string, _ types.UID, container string, cmd []string,
	in io.Reader, out, errOut io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	s := streams{in: in, out: io.Discard, err: io.Discard}
	if out != nil {
		s.out = out
		if errOut == nil { // a terminal has one stream
			s.err = out
		}
	}
	if errOut != nil {
		s.err = errOut
	}
	namespace, pod, _ := strings.Cut(name, "/")
	vmi := k.handler.byPod(namespace, pod)
	fields := Fields{"namespace": namespace, "pod": pod, "container": container, "command": cmd}
	if vmi != nil {
		fields["vm"], fields["uid"] = vmi.name, vmi.uid
	}
	k.events.Add("exec", fields)
	err := k.exec(vmi, name, container, cmd, s)
	code := 0
	var exit utilexec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitStatus()
	} else if err != nil {
		code = -1
	}
	k.logs.add(namespace+"/"+pod, fmt.Sprintf("exec %q in %s: exit code %d", cmd, container, code))
	return err
}

func (k *Kubelet) exec(vmi *instance, pod, container string, cmd []string, s streams) error {
	if len(cmd) == 0 {
		return fmt.Errorf("no command")
	}
	base := cmd[0][strings.LastIndex(cmd[0], "/")+1:]
	if vmi != nil && container == "compute" {
		switch base {
		case "virt-freezer":
			return virtFreezer(vmi, cmd[1:], s, k.handler.freezeWait())
		case "virsh":
			return virsh(vmi, cmd[1:], s)
		}
	}
	if base == "xargs" && len(cmd) > 2 && cmd[1] == "-0" {
		return k.xargs(vmi, pod, container, cmd[2:], s)
	}
	switch base {
	case "true":
		return nil
	case "false":
		return exitWith(1)
	case "echo":
		fmt.Fprintln(s.out, strings.Join(cmd[1:], " "))
		return nil
	case "cat":
		if s.in != nil {
			_, err := io.Copy(s.out, s.in)
			return err
		}
		return nil
	}
	if err, known := k.podProgram(pod, cmd); known {
		return err
	}
	return fmt.Errorf("exec failed: unable to start container process: exec: %q: executable file not found in $PATH", cmd[0])
}

// xargs runs the command once, with the words of its input, each up to a zero byte, behind it.
func (k *Kubelet) xargs(vmi *instance, pod, container string, cmd []string, s streams) error {
	var input []byte
	if s.in != nil {
		var err error
		if input, err = io.ReadAll(s.in); err != nil {
			return err
		}
	}
	words := strings.Split(strings.TrimSuffix(string(input), "\x00"), "\x00")
	err := k.exec(vmi, pod, container, append(append([]string{}, cmd...), words...), streams{out: s.out, err: s.err})
	var exit utilexec.ExitError
	if errors.As(err, &exit) && exit.ExitStatus() > 0 && exit.ExitStatus() < 126 {
		return exitWith(123)
	}
	return err
}

// virtFreezer plays cmd/virt-freezer; wait is how long virt-launcher's answer to a freeze is awaited.
func virtFreezer(vmi *instance, args []string, s streams, wait time.Duration) error {
	var freeze, unfreeze bool
	var name, namespace string
	timeout := int64(300)
	say := func(level, msg string, err error) {
		line := map[string]any{"component": "freezer", "level": level, "msg": msg, "timestamp": time.Now().UTC().Format(time.RFC3339Nano)}
		if err != nil {
			line["reason"] = err.Error()
		}
		b, _ := json.Marshal(line)
		fmt.Fprintln(s.err, string(b))
	}
	fail := func(msg string, err error) error {
		say("error", msg, err)
		return exitWith(1)
	}
	for i := 0; i < len(args); i++ {
		key, value, has := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if key == "freeze" || key == "unfreeze" {
			on := !has || value == "true"
			if key == "freeze" {
				freeze = on
			} else {
				unfreeze = on
			}
			continue
		}
		if !has {
			i++
			if i >= len(args) {
				fmt.Fprintf(s.err, "flag needs an argument: --%s\n", key)
				return exitWith(2)
			}
			value = args[i]
		}
		var err error
		switch key {
		case "name":
			name = value
		case "namespace":
			namespace = value
		case "unfreezeTimeoutSeconds":
			timeout, err = strconv.ParseInt(value, 10, 32)
		default:
			err = fmt.Errorf("unknown flag: --%s", key)
		}
		if err != nil {
			fmt.Fprintln(s.err, err)
			return exitWith(2)
		}
	}
	if !freeze && !unfreeze {
		return fail("Failed to parse flags", fmt.Errorf("either --freeze or --unfreeze must be set"))
	}
	if name == "" || namespace == "" {
		return fail("Failed to parse flags", fmt.Errorf("both --name and --namespace must be provided"))
	}
	if vmi.launcher == nil {
		return fail("Failed to connect launcher", fmt.Errorf("no domain"))
	}
	if !vmi.launcher.Cache().Known {
		say("info", "No guest agent, exiting", nil)
		return nil
	}
	if state := vmi.guest.State(); !state.On || state.Paused {
		say("info", "VM domain not running, no need to freeze/unfreeze", nil)
		return nil
	}
	if freeze {
		err := await(wait, "Freeze", func() error { return vmi.launcher.Freeze(int32(timeout), "virt-freezer") })
		if err != nil {
			if strings.Contains(err.Error(), "Guest agent not available for now") {
				await(launcherWait, "Unfreeze", func() error { return vmi.launcher.Unfreeze("virt-freezer") })
				return fail("Freezing VMI failed, please make sure guest agent is running and try again", err)
			}
			return fail("Freezing VMI failed", err)
		}
	} else if err := await(launcherWait, "Unfreeze", func() error { return vmi.launcher.Unfreeze("virt-freezer") }); err != nil {
		if strings.Contains(err.Error(), "fsfreeze is limited") {
			return fail("Unfreezing VMI failed, please try again. If problem continues, stop the VM and backup while down", err)
		}
		return fail("Unfreezing VMI failed", err)
	}
	say("info", "Operation completed successfully", nil)
	return nil
}

// virsh plays what a backup tool asks of it: list, domstate, qemu-agent-command.
func virsh(vmi *instance, args []string, s streams) error {
	var words []string
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-c" || a == "--connect" || a == "--timeout":
			i++
		case strings.HasPrefix(a, "-"): // --pretty, --block, --name ...
			words = append(words, a)
		default:
			words = append(words, a)
		}
	}
	var plain, options []string
	for _, w := range words {
		if strings.HasPrefix(w, "-") {
			options = append(options, w)
		} else {
			plain = append(plain, w)
		}
	}
	fail := func(err error) error {
		message := err.Error()
		var libvirt *libvirtError
		if errors.As(err, &libvirt) {
			message = libvirt.message
		}
		fmt.Fprintf(s.err, "error: %s\n", message)
		return exitWith(1)
	}
	if len(plain) == 0 {
		return fail(fmt.Errorf("no command given"))
	}
	domain := vmi.namespace + "_" + vmi.name
	state := "shut off"
	if vmi.guest != nil {
		if g := vmi.guest.State(); g.Paused {
			state = "paused"
		} else if g.On {
			state = "running"
		}
	}
	switch plain[0] {
	case "list":
		if strings.Contains(strings.Join(options, " "), "--name") {
			fmt.Fprintf(s.out, "%s\n\n", domain)
			return nil
		}
		fmt.Fprintf(s.out, " Id   Name   State\n----------------------\n")
		if state != "shut off" {
			fmt.Fprintf(s.out, " 1    %s   %s\n", domain, state)
		}
		fmt.Fprintln(s.out)
		return nil
	case "domstate", "qemu-agent-command":
	default:
		return fail(fmt.Errorf("unknown command: '%s'", plain[0]))
	}
	if len(plain) < 2 || (plain[1] != domain && plain[1] != "1") {
		return fail(fmt.Errorf("failed to get domain '%s'", strings.Join(plain[1:min(2, len(plain))], "")))
	}
	if plain[0] == "domstate" {
		fmt.Fprintf(s.out, "%s\n\n", state)
		return nil
	}
	if len(plain) < 3 {
		return fail(fmt.Errorf("command 'qemu-agent-command' requires <cmd> option"))
	}
	if vmi.guest == nil {
		return fail(errNotRunning)
	}
	answer, err := vmi.guest.AgentCommand([]byte(strings.Join(plain[2:], " ")))
	if err != nil {
		return fail(err)
	}
	b, err := json.Marshal(map[string]any{"return": answer})
	if err != nil {
		return fail(err)
	}
	fmt.Fprintf(s.out, "%s\n\n", b)
	return nil
}

package main

// What virt-handler reports in a VMI's status.

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// requiredCommands is what virt-handler wants of an agent (pkg/virt-handler/guestagent.go).
var requiredCommands = []string{"guest-ping", "guest-get-time", "guest-info", "guest-shutdown",
	"guest-network-get-interfaces", "guest-get-fsinfo", "guest-get-host-name", "guest-get-users", "guest-get-timezone",
	"guest-get-osinfo"}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func status(vmi *unstructured.Unstructured) map[string]any {
	s, _ := vmi.Object["status"].(map[string]any)
	if s == nil {
		s = map[string]any{}
		vmi.Object["status"] = s
	}
	return s
}

func setPhase(vmi *unstructured.Unstructured, phase string) {
	s := status(vmi)
	s["phase"] = phase
	times, _ := s["phaseTransitionTimestamps"].([]any)
	s["phaseTransitionTimestamps"] = append(times, map[string]any{"phase": phase, "phaseTransitionTimestamp": now()})
}

func condition(vmi *unstructured.Unstructured, kind string) map[string]any {
	conditions, _ := status(vmi)["conditions"].([]any)
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == kind {
			return m
		}
	}
	return nil
}

// setCondition adds a condition, or changes it where status, reason or message differ.
func setCondition(vmi *unstructured.Unstructured, kind, value, reason, message string) {
	c := condition(vmi, kind)
	if c != nil && c["status"] == value && str(c, "reason") == reason && str(c, "message") == message {
		return
	}
	removeCondition(vmi, kind)
	c = map[string]any{"type": kind, "status": value, "lastProbeTime": now(), "lastTransitionTime": nil}
	if kind == "Paused" {
		c["lastTransitionTime"] = now()
	}
	if reason != "" {
		c["reason"] = reason
	}
	if message != "" {
		c["message"] = message
	}
	s := status(vmi)
	conditions, _ := s["conditions"].([]any)
	s["conditions"] = append(conditions, c)
}

func removeCondition(vmi *unstructured.Unstructured, kind string) {
	s := status(vmi)
	conditions, _ := s["conditions"].([]any)
	kept := slices.DeleteFunc(slices.Clone(conditions), func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == kind
	})
	if len(kept) != len(conditions) {
		s["conditions"] = kept
	}
}

// report writes into vmi what a virt-handler would say of a running domain.
func (h *Handler) report(vmi *unstructured.Unstructured, inst *instance, pod *corev1.Pod) {
	s := status(vmi)
	state, polled := inst.guest.State(), inst.launcher.Cache()
	s["selinuxContext"] = "none"
	machine := str(vmi.Object, "spec", "domain", "machine", "type")
	if machine == "" || machine == "q35" {
		machine = "pc-q35-rhel9.6.0"
	}
	s["machine"] = map[string]any{"type": machine}

	if state.Agent {
		if condition(vmi, "AgentConnected") == nil {
			setCondition(vmi, "AgentConnected", "True", "", "")
		}
	} else {
		removeCondition(vmi, "AgentConnected")
	}
	unsupported := ""
	if polled.Known {
		for _, want := range requiredCommands {
			if !slices.Contains(polled.Commands, AgentCommand{Name: want, Enabled: true}) {
				unsupported = "This guest agent doesn't support required basic commands"
			}
		}
	} else if polled.Polled {
		unsupported = "Guest agent version '' is not supported"
	}
	if state.Agent && unsupported != "" {
		setCondition(vmi, "AgentVersionNotSupported", "True", "", unsupported)
	} else {
		removeCondition(vmi, "AgentVersionNotSupported")
	}
	if state.Paused {
		if condition(vmi, "Paused") == nil {
			setCondition(vmi, "Paused", "True", "PausedByUser", "VMI was paused by user")
		}
	} else {
		removeCondition(vmi, "Paused")
	}
	if inst.migratable == "" {
		setCondition(vmi, "LiveMigratable", "True", "", "")
		s["migrationMethod"] = "LiveMigration"
	} else {
		setCondition(vmi, "LiveMigratable", "False", "DisksNotLiveMigratable", inst.migratable)
		s["migrationMethod"] = "BlockMigration"
	}
	setCondition(vmi, "StorageLiveMigratable", "True", "", "")

	if polled.Known {
		if have, _ := s["guestOSInfo"].(map[string]any); str(have, "name") == "" {
			s["guestOSInfo"] = osInfo(state.Knobs)
		}
	}
	// pkg/virt-handler/vm.go updateFSFreezeStatus: no word, no change; thawed is stored as absent.
	switch polled.FSFreeze {
	case "frozen":
		s["fsFreezeStatus"] = "frozen"
	case "thawed":
		delete(s, "fsFreezeStatus")
	}
	reportInterfaces(vmi, inst, pod, polled.Known)

	volumes, _ := s["volumeStatus"].([]any)
	inst.mu.Lock()
	for _, v := range volumes {
		m, ok := v.(map[string]any)
		if !ok || m["hotplugVolume"] != nil {
			continue
		}
		m["target"] = inst.targets[str(m, "name")]
	}
	inst.mu.Unlock()
}

// reportInterfaces completes the entries that virt-controller made, or makes them.
func reportInterfaces(vmi *unstructured.Unstructured, inst *instance, pod *corev1.Pod, agent bool) {
	s := status(vmi)
	wanted, _, _ := unstructured.NestedSlice(vmi.Object, "spec", "domain", "devices", "interfaces")
	have, _ := s["interfaces"].([]any)
	for i, w := range wanted {
		spec, ok := w.(map[string]any)
		if !ok {
			continue
		}
		name := str(spec, "name")
		at := slices.IndexFunc(have, func(e any) bool { m, ok := e.(map[string]any); return ok && m["name"] == name })
		if at < 0 {
			have = append(have, map[string]any{"name": name})
			at = len(have) - 1
		}
		entry := have[at].(map[string]any)
		mac := str(spec, "macAddress")
		if mac == "" {
			f := fnv.New32a()
			fmt.Fprintf(f, "%s/%d", inst.uid, i)
			sum := f.Sum32()
			mac = fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
		}
		entry["mac"] = mac
		if pod.Status.PodIP != "" && i == 0 {
			entry["ipAddress"] = pod.Status.PodIP
			entry["ipAddresses"] = []any{pod.Status.PodIP}
		}
		entry["linkState"] = "up"
		sources := strings.Split(str(entry, "infoSource"), ", ")
		for _, source := range []string{"domain", "guest-agent"} {
			if (source == "domain" || agent) && !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		}
		entry["infoSource"] = strings.TrimPrefix(strings.Join(sources, ", "), ", ")
		if agent {
			entry["interfaceName"] = fmt.Sprintf("eth%d", i)
		}
	}
	if len(have) > 0 {
		s["interfaces"] = have
	}
}

// syncHotplug moves hot-plugged volumes on: AttachedToNode -> MountedToPod -> Ready, and back when they leave the
// spec (pkg/virt-handler/vm.go updateHotplugVolumeStatus). True: there is another step to make.
func (h *Handler) syncHotplug(vmi *unstructured.Unstructured, inst *instance) bool {
	s := status(vmi)
	spec, _, _ := unstructured.NestedMap(vmi.Object, "spec")
	inSpec, utility := map[string]map[string]any{}, map[string]bool{}
	list, _, _ := unstructured.NestedSlice(spec, "volumes")
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			inSpec[str(m, "name")] = m
		}
	}
	list, _, _ = unstructured.NestedSlice(spec, "utilityVolumes")
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			inSpec[str(m, "name")] = m
			utility[str(m, "name")] = true
		}
	}
	devices := map[string]map[string]any{}
	_, disks := orderedVolumes(spec)
	for _, d := range disks {
		devices[str(d, "name")] = d
	}
	volumes, _ := s["volumeStatus"].([]any)
	again := false
	for _, v := range volumes {
		m, ok := v.(map[string]any)
		if !ok || m["hotplugVolume"] == nil {
			continue
		}
		name, phase := str(m, "name"), str(m, "phase")
		set := func(phase, reason, message string) {
			m["phase"], m["reason"], m["message"] = phase, reason, message
		}
		inst.mu.Lock()
		target := inst.targets[name]
		inst.mu.Unlock()
		volume := inSpec[name]
		switch {
		case volume == nil: // unplug
			if target != "" {
				inst.guest.Unplug(name)
				inst.mu.Lock()
				delete(inst.targets, name)
				inst.mu.Unlock()
			}
			m["target"] = ""
			if phase == "Ready" || phase == "MountedToPod" || phase == "AttachedToNode" {
				set("UnMountedFromPod", "VolumeUnMountedFromPod", fmt.Sprintf("Volume %s has been unmounted from virt-launcher pod", name))
			}
		case phase == "AttachedToNode":
			set("MountedToPod", "VolumeMountedToPod", fmt.Sprintf("Volume %s has been mounted in virt-launcher pod", name))
			again = true
		case phase == "MountedToPod" && !utility[name] && devices[name] != nil:
			disk, _, err := h.findDisk(vmi.GetNamespace(), volume)
			if err == nil && writable(volume, devices[name]) {
				err = inst.guest.Plug(disk)
			}
			if err != nil {
				h.log(inst)("plug-failed", Fields{"disk": name, "error": err.Error()})
				again = true
				continue
			}
			inst.mu.Lock()
			inst.targets[name] = deviceName(devices[name], inst.targets)
			m["target"] = inst.targets[name]
			inst.mu.Unlock()
			set("Ready", "VolumeReady", fmt.Sprintf("Successfully attach hotplugged volume %s to VM", name))
		default:
			m["target"] = target
			if target == "" && phase == "Ready" { // the node was started anew under a running VMI
				set("MountedToPod", "VolumeMountedToPod", fmt.Sprintf("Volume %s has been mounted in virt-launcher pod", name))
				again = true
			}
		}
	}
	return again
}

// fileSystems is the agent's list: one file system per disk that is not declared raw.
func (inst *instance) fileSystems() []any {
	state := inst.guest.State()
	out := []any{}
	inst.mu.Lock()
	defer inst.mu.Unlock()
	for i, name := range state.Disks {
		if state.Knobs.RawDisks[name] {
			continue
		}
		target := inst.targets[name]
		mount, kind := "/", "ext4"
		if i > 0 {
			mount, kind = "/srv/"+name, "xfs"
		}
		if state.Knobs.Windows {
			mount, kind = string(rune('C'+i))+`:\`, "NTFS"
		}
		bus := "virtio"
		if strings.HasPrefix(target, "sd") {
			bus = "scsi"
		}
		out = append(out, map[string]any{"diskName": target + "1", "mountPoint": mount, "fileSystemType": kind,
			"usedBytes": int64(104857600), "totalBytes": int64(1063256064),
			"disk": []any{map[string]any{"serial": "", "busType": bus}}})
	}
	return out
}

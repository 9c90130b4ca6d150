package main

// virt-handler's side towards the API: VMIs that virt-controller handed to this node come to Running, carry what a
// virt-handler reports (pkg/virt-handler/vm.go), and end. VMIs are written as the service account kubevirt-handler by
// Update of the whole object, as virt-handler does: the kind has no status subresource.

import (
	"context"
	"fmt"
	"log"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

var (
	vmiResource      = schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachineinstances"}
	kubevirtResource = schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "kubevirts"}
)

const defaultGrace = 30 * time.Second // kubevirt.io/api/core/v1 DefaultGracePeriodSeconds

// instance is one VMI on this node. The fields below mu are written by the reconciler of its key only; launcher and
// guest are set once, together.
type instance struct {
	namespace, name, uid string

	guest    *Guest
	launcher *Launcher

	mu         sync.Mutex
	bootAt     time.Time
	targets    map[string]string // volume name -> device, for what is plugged
	migratable string            // "" or why not
	shutdownAt time.Time         // when the shutdown was first asked for
	badKnobs   string
}

// Handler plays virt-handler on one node. Safe for concurrent use.
type Handler struct {
	node      string
	namespace string // of KubeVirt
	state     string
	pace      time.Duration
	events    *EventLog
	core      kubernetes.Interface
	admin     dynamic.Interface
	vmiClient dynamic.Interface // as kubevirt-handler
	vmis      cache.SharedIndexInformer
	queue     workqueue.TypedRateLimitingInterface[string]
	kubelet   *Kubelet

	mu       sync.Mutex
	byUID    map[string]*instance
	longWait bool // virt-launcher's answer to a freeze is awaited 60 s (KubeVirt 1.6.4, 1.7.2, 1.8 and later), else 20 s
}

func newQueue() workqueue.TypedRateLimitingInterface[string] {
	return workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, 2*time.Second))
}

func work(queue workqueue.TypedRateLimitingInterface[string], what string, reconcile func(key string) error) {
	for {
		key, quit := queue.Get()
		if quit {
			return
		}
		if err := reconcile(key); err != nil {
			if !apierrors.IsConflict(err) {
				log.Printf("%s %s: %v", what, key, err)
			}
			queue.AddRateLimited(key)
		} else {
			queue.Forget(key)
		}
		queue.Done(key)
	}
}

// enqueue makes an informer feed a queue with keys.
func enqueue(queue workqueue.TypedRateLimitingInterface[string]) cache.ResourceEventHandler {
	add := func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			queue.Add(key)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, obj any) { add(obj) }, DeleteFunc: add}
}

func (h *Handler) get(uid string) *instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byUID[uid]
}

// byPod finds the instance behind a virt-launcher pod; nil for other pods. Its guest is nil before the start.
func (h *Handler) byPod(namespace, pod string) *instance {
	p := h.kubelet.pod(namespace + "/" + pod)
	if p == nil || !isLauncher(p) {
		return nil
	}
	if inst := h.get(launcherOf(p)); inst != nil {
		return inst
	}
	return &instance{namespace: namespace, name: p.Annotations["kubevirt.io/domain"], uid: launcherOf(p)}
}

func isLauncher(p *corev1.Pod) bool {
	return p.Labels["kubevirt.io"] == "virt-launcher"
}

// launcherOf is the UID of the VMI that a launcher pod runs.
func launcherOf(p *corev1.Pod) string { return p.Labels["kubevirt.io/created-by"] }

// byName finds the running instance of a VMI as virt-handler's API addresses it.
func (h *Handler) byName(namespace, name string) *instance {
	vmi := h.vmi(namespace + "/" + name)
	if vmi == nil {
		return nil
	}
	if inst := h.get(string(vmi.GetUID())); inst != nil {
		return inst
	}
	return &instance{namespace: namespace, name: name, uid: string(vmi.GetUID())}
}

func (h *Handler) vmi(key string) *unstructured.Unstructured {
	obj, exists, err := h.vmis.GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	return obj.(*unstructured.Unstructured)
}

func (h *Handler) freezeWait() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.longWait {
		return 60 * time.Second
	}
	return launcherWait
}

// learnVersion asks which KubeVirt this is; until it is known the newer rule holds.
func (h *Handler) learnVersion(ctx context.Context) {
	h.mu.Lock()
	h.longWait = true
	h.mu.Unlock()
	for ctx.Err() == nil {
		list, err := h.admin.Resource(kubevirtResource).Namespace(h.namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			version, _, _ := unstructured.NestedString(list.Items[0].Object, "status", "observedKubeVirtVersion")
			if version != "" {
				h.mu.Lock()
				h.longWait = awaitsFreezeLonger(version)
				h.mu.Unlock()
				return
			}
		}
		sleepCtx(ctx, time.Second)
	}
}

// awaitsFreezeLonger: virt-handler's wait for the answer to a freeze went from 20 s to 60 s in 1.6.4, 1.7.2 and 1.8.
func awaitsFreezeLonger(version string) bool {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d.%d", &major, &minor, &patch); n < 2 {
		return true
	}
	switch {
	case major != 1:
		return major > 1
	case minor == 6:
		return patch >= 4
	case minor == 7:
		return patch >= 2
	}
	return minor >= 8
}

// podMayEnd says whether the launcher pod of a VMI has nothing left to wait for: its VMI is final, gone, or never
// got as far as this node.
func (h *Handler) podMayEnd(p *corev1.Pod) bool {
	name := p.Annotations["kubevirt.io/domain"]
	vmi := h.vmi(p.Namespace + "/" + name)
	if vmi == nil || string(vmi.GetUID()) != launcherOf(p) {
		return true
	}
	switch phaseOf(vmi) {
	case "Scheduled", "Running", "Unknown":
		return false
	}
	return true
}

func phaseOf(vmi *unstructured.Unstructured) string {
	phase, _, _ := unstructured.NestedString(vmi.Object, "status", "phase")
	return phase
}

// reconcile brings one VMI a step on.
func (h *Handler) reconcile(key string) error {
	seen := h.vmi(key)
	h.endStrangers(key, seen)
	if seen == nil {
		return nil
	}
	node, _, _ := unstructured.NestedString(seen.Object, "status", "nodeName")
	phase := phaseOf(seen)
	if node != h.node || (phase != "Scheduled" && phase != "Running") {
		if inst := h.get(string(seen.GetUID())); inst != nil && (phase == "Succeeded" || phase == "Failed") {
			inst.end("destroyed")
		}
		return nil
	}
	vmi := seen.DeepCopy()
	pod := h.kubelet.launcherPod(vmi.GetNamespace(), string(vmi.GetUID()))
	inst := h.get(string(vmi.GetUID()))
	going := vmi.GetDeletionTimestamp() != nil || (pod != nil && pod.DeletionTimestamp != nil)

	switch {
	case inst == nil && going && phase == "Scheduled":
		return h.finish(vmi, "Succeeded")
	case pod == nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		if inst != nil {
			inst.end("destroyed")
		}
		return h.finish(vmi, "Failed")
	case inst == nil:
		made, err := h.create(vmi, phase == "Running")
		if err != nil || made == nil {
			return err
		}
		inst = made
	}

	if knobs, err := parseKnobs(vmi.GetAnnotations()); err != nil {
		h.complain(vmi, inst, err)
	} else if inst.guest != nil && !reflect.DeepEqual(knobs, inst.guest.State().Knobs) {
		inst.guest.SetKnobs(knobs)
	}
	if inst.guest.State().Ended == "" && !inst.booted() {
		if wait := time.Until(inst.bootAt); wait > 0 && !going {
			h.queue.AddAfter(key, wait)
			return nil
		}
		strategy, _, _ := unstructured.NestedString(vmi.Object, "spec", "startStrategy")
		if err := inst.guest.Boot(strategy == "Paused" && phase == "Scheduled"); err != nil {
			return fmt.Errorf("boot: %w", err)
		}
		h.record(vmi, corev1.EventTypeNormal, "Started", "VirtualMachineInstance started.")
	}
	state := inst.guest.State()
	if state.Ended == "" {
		switch state.Knobs.Power {
		case "off":
			go inst.guest.PowerOff("shutdown")
		case "crash":
			go inst.guest.PowerOff("crashed")
		}
		if going {
			h.shutDown(vmi, inst)
		}
	}
	if state.Ended != "" {
		inst.launcher.Close()
		phase := "Failed"
		if state.Ended == "shutdown" {
			phase = "Succeeded"
		}
		return h.finish(vmi, phase)
	}
	again := h.syncHotplug(vmi, inst)
	h.report(vmi, inst, pod)
	if phase == "Scheduled" {
		setPhase(vmi, "Running")
	}
	if err := h.update(seen, vmi); err != nil {
		return err
	}
	if phase == "Scheduled" {
		h.log(inst)("phase", Fields{"phase": "Running"})
	}
	if again {
		h.queue.AddAfter(key, 100*time.Millisecond)
	}
	return nil
}

// endStrangers ends guests of that name whose VMI is gone.
func (h *Handler) endStrangers(key string, vmi *unstructured.Unstructured) {
	h.mu.Lock()
	var lost []*instance
	for uid, inst := range h.byUID {
		if inst.namespace+"/"+inst.name != key {
			continue
		}
		if vmi == nil || string(vmi.GetUID()) != uid {
			lost = append(lost, inst)
			delete(h.byUID, uid)
		}
	}
	h.mu.Unlock()
	for _, inst := range lost {
		inst.end("destroyed")
	}
}

func (i *instance) end(why string) {
	if i.launcher != nil {
		i.launcher.Close()
		i.guest.PowerOff(why)
	}
}

func (i *instance) booted() bool { return i.guest.State().On }

func (h *Handler) log(inst *instance) func(string, Fields) {
	namespace, vm, uid := inst.namespace, inst.name, inst.uid
	return func(event string, f Fields) {
		all := Fields{"namespace": namespace, "vm": vm, "uid": uid}
		maps.Copy(all, f)
		h.events.Add(event, all)
	}
}

// complain tells of annotations that cannot be read, once per text for a guest that runs.
func (h *Handler) complain(vmi *unstructured.Unstructured, inst *instance, err error) {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	if inst.badKnobs != err.Error() {
		inst.badKnobs = err.Error()
		h.log(inst)("bad-knob", Fields{"error": err.Error()})
		log.Printf("%s/%s: %v", inst.namespace, inst.name, err)
		h.record(vmi, corev1.EventTypeWarning, "BadKnob", err.Error())
	}
}

// create prepares the domain of a VMI. A VMI whose knobs cannot be read does not start: nil, nil.
func (h *Handler) create(vmi *unstructured.Unstructured, running bool) (*instance, error) {
	inst := &instance{namespace: vmi.GetNamespace(), name: vmi.GetName(), uid: string(vmi.GetUID()), targets: map[string]string{}}
	knobs, err := parseKnobs(vmi.GetAnnotations())
	if err != nil {
		h.complain(vmi, inst, err)
		return nil, nil
	}
	disks, targets, migratable, err := h.disksOf(vmi)
	if err != nil {
		return nil, err
	}
	inst.targets, inst.migratable = targets, migratable
	if !running {
		inst.bootAt = time.Now().Add(knobs.Boot)
	}
	key := inst.namespace + "/" + inst.name
	poke := func() { h.queue.Add(key) }
	real := clock.RealClock{}
	inst.guest = newGuest(real, disks, knobs, h.pace, h.log(inst), poke)
	inst.launcher = newLauncher(inst.guest, real, h.log(inst), poke)
	h.mu.Lock()
	h.byUID[inst.uid] = inst
	h.mu.Unlock()
	go inst.launcher.PollLoop()
	return inst, nil
}

// volumes lists the VMI's volumes in the order of its disks; volumes without a disk are left out.
func orderedVolumes(spec map[string]any) (volumes []map[string]any, disks []map[string]any) {
	byName := map[string]map[string]any{}
	list, _, _ := unstructured.NestedSlice(spec, "volumes")
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			byName[str(m, "name")] = m
		}
	}
	devices, _, _ := unstructured.NestedSlice(spec, "domain", "devices", "disks")
	for _, d := range devices {
		if m, ok := d.(map[string]any); ok {
			if v := byName[str(m, "name")]; v != nil {
				volumes, disks = append(volumes, v), append(disks, m)
			}
		}
	}
	return volumes, disks
}

func str(m map[string]any, path ...string) string {
	s, _, _ := unstructured.NestedString(m, path...)
	return s
}

func truth(m map[string]any, path ...string) bool {
	b, _, _ := unstructured.NestedBool(m, path...)
	return b
}

// claimOf is the PVC behind a volume, "" for volumes of other kinds.
func claimOf(volume map[string]any) string {
	if name := str(volume, "persistentVolumeClaim", "claimName"); name != "" {
		return name
	}
	return str(volume, "dataVolume", "name")
}

func isHotplug(volume map[string]any) bool {
	return truth(volume, "persistentVolumeClaim", "hotpluggable") || truth(volume, "dataVolume", "hotpluggable")
}

// writable says whether a guest writes its journal to a disk.
func writable(volume, disk map[string]any) bool {
	_, cdrom := disk["cdrom"]
	return claimOf(volume) != "" && !cdrom && !truth(disk, "disk", "readonly") &&
		!truth(volume, "persistentVolumeClaim", "readOnly")
}

// disksOf finds where the disks of a VMI that is about to start are, in disk order.
func (h *Handler) disksOf(vmi *unstructured.Unstructured) ([]JournalDisk, map[string]string, string, error) {
	spec, _, _ := unstructured.NestedMap(vmi.Object, "spec")
	volumes, devices := orderedVolumes(spec)
	targets := map[string]string{}
	migratable := ""
	var disks []JournalDisk
	for i, volume := range volumes {
		name := str(volume, "name")
		if isHotplug(volume) {
			continue
		}
		targets[name] = deviceName(devices[i], targets)
		if claimOf(volume) == "" {
			continue
		}
		disk, shared, err := h.findDisk(vmi.GetNamespace(), volume)
		if err != nil {
			return nil, nil, "", err
		}
		if !shared && migratable == "" {
			migratable = fmt.Sprintf("cannot migrate VMI: PVC %s is not shared, live migration requires that all PVCs must be shared (using ReadWriteMany access mode)", claimOf(volume))
		}
		if writable(volume, devices[i]) {
			disks = append(disks, disk)
		}
	}
	return disks, targets, migratable, nil
}

func deviceName(device map[string]any, taken map[string]string) string {
	bus, prefix := str(device, "disk", "bus"), "vd"
	if bus == "" {
		bus = str(device, "cdrom", "bus")
	}
	if bus == "sata" || bus == "scsi" || bus == "usb" {
		prefix = "sd"
	}
	used := slices.Collect(maps.Values(taken))
	for i := 0; ; i++ {
		if name := prefix + letters(i); !slices.Contains(used, name) {
			return name
		}
	}
}

// letters counts a, b, ..., z, aa, ab, ... as KubeVirt does [pkg/virt-launcher/virtwrap/converter, FormatDeviceName].
func letters(i int) string {
	if i < 0 {
		return ""
	}
	return letters(i/26-1) + string(rune('a'+i%26))
}

// findDisk follows volume -> PVC -> PV -> directory.
func (h *Handler) findDisk(namespace string, volume map[string]any) (JournalDisk, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pvc, err := h.core.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, claimOf(volume), metav1.GetOptions{})
	if err != nil {
		return JournalDisk{}, false, err
	}
	if pvc.Spec.VolumeName == "" {
		return JournalDisk{}, false, fmt.Errorf("claim %s is not bound", pvc.Name)
	}
	pv, err := h.core.CoreV1().PersistentVolumes().Get(ctx, pvc.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return JournalDisk{}, false, err
	}
	if pv.Spec.CSI == nil {
		return JournalDisk{}, false, fmt.Errorf("volume %s is not of CSI", pv.Name)
	}
	path := pv.Spec.CSI.VolumeAttributes["path"]
	if path == "" {
		path = filepath.Join(h.state, "volumes", pv.Spec.CSI.VolumeHandle)
	}
	shared := slices.Contains(pvc.Spec.AccessModes, corev1.ReadWriteMany)
	block := pvc.Spec.VolumeMode != nil && *pvc.Spec.VolumeMode == corev1.PersistentVolumeBlock
	return JournalDisk{Name: str(volume, "name"), Path: path, Block: block}, shared, nil
}

// shutDown asks the guest to end and kills it when its grace period is over.
func (h *Handler) shutDown(vmi *unstructured.Unstructured, inst *instance) {
	grace := defaultGrace
	if s, found, _ := unstructured.NestedInt64(vmi.Object, "spec", "terminationGracePeriodSeconds"); found {
		grace = time.Duration(s) * time.Second
	}
	inst.mu.Lock()
	first := inst.shutdownAt.IsZero()
	if first {
		inst.shutdownAt = time.Now()
	}
	left := time.Until(inst.shutdownAt.Add(grace))
	inst.mu.Unlock()
	if left <= 0 {
		h.record(vmi, corev1.EventTypeNormal, "Deleted", "VirtualMachineInstance stopping")
		go inst.guest.PowerOff("destroyed")
		return
	}
	if first {
		h.record(vmi, corev1.EventTypeNormal, "ShuttingDown", "Signaled Graceful Shutdown")
		inst.guest.RequestShutdown()
	}
	h.queue.AddAfter(inst.namespace+"/"+inst.name, left)
}

// finish writes the final phase, and only then lets the pod end.
func (h *Handler) finish(vmi *unstructured.Unstructured, phase string) error {
	if phaseOf(vmi) != phase {
		setPhase(vmi, phase)
		removeCondition(vmi, "AgentConnected")
		if _, err := h.write(vmi); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		}
		reason, message := "Stopped", "The VirtualMachineInstance was shut down."
		if phase == "Failed" {
			message = "The VirtualMachineInstance crashed."
		}
		h.record(vmi, corev1.EventTypeNormal, reason, message)
		h.events.Add("phase", Fields{"namespace": vmi.GetNamespace(), "vm": vmi.GetName(), "uid": string(vmi.GetUID()), "phase": phase})
	}
	h.kubelet.pokeLauncher(vmi.GetNamespace(), string(vmi.GetUID()))
	return nil
}

func (h *Handler) update(before, after *unstructured.Unstructured) error {
	if reflect.DeepEqual(before.Object, after.Object) {
		return nil
	}
	_, err := h.write(after)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (h *Handler) write(vmi *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return h.vmiClient.Resource(vmiResource).Namespace(vmi.GetNamespace()).Update(ctx, vmi, metav1.UpdateOptions{})
}

// record sends a Kubernetes event as virt-handler does. Best effort.
func (h *Handler) record(vmi *unstructured.Unstructured, kind, reason, message string) {
	now := metav1.Now()
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: vmi.GetNamespace(), Name: fmt.Sprintf("%s.%x", vmi.GetName(), time.Now().UnixNano())},
		InvolvedObject: corev1.ObjectReference{APIVersion: "kubevirt.io/v1", Kind: "VirtualMachineInstance",
			Namespace: vmi.GetNamespace(), Name: vmi.GetName(), UID: vmi.GetUID(), ResourceVersion: vmi.GetResourceVersion()},
		Reason: reason, Message: message, Type: kind, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "virt-handler", Host: h.node}, ReportingController: "virt-handler", ReportingInstance: h.node,
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := h.core.CoreV1().Events(vmi.GetNamespace()).Create(ctx, event, metav1.CreateOptions{}); err != nil &&
			!apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			log.Printf("event %s of %s/%s: %v", reason, vmi.GetNamespace(), vmi.GetName(), err)
		}
	}()
}

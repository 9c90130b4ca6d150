package main

// kubelet's side towards the API: the Node, its lease, and the pods that the scheduler bound here. Pods run as soon as
// their claims are bound; nothing runs in them but what exec.go plays.

import (
	"context"
	"fmt"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	leaseSeconds = 40
	kubeVersion  = "v1.34.2"
	claimRetry   = 100 * time.Millisecond
)

// Kubelet runs the pods of one node. Safe for concurrent use.
type Kubelet struct {
	node      string
	namespace string // of KubeVirt
	port      int32
	core      kubernetes.Interface
	pods      cache.SharedIndexInformer
	queue     workqueue.TypedRateLimitingInterface[string]
	events    *EventLog
	handler   *Handler
	logs      podLogs
	locks     podLocks

	mu  sync.Mutex
	ips int
}

// podLogs keeps a few lines per pod for kubectl logs.
type podLogs struct {
	mu    sync.Mutex
	lines map[string][]string
}

func (l *podLogs) add(pod, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = map[string][]string{}
	}
	kept := append(l.lines[pod], time.Now().UTC().Format(time.RFC3339Nano)+" "+line)
	l.lines[pod] = kept[max(0, len(kept)-1000):]
}

func (l *podLogs) get(pod string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines[pod]) == 0 {
		return ""
	}
	return strings.Join(l.lines[pod], "\n") + "\n"
}

func (l *podLogs) forget(pod string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lines, pod)
}

func (k *Kubelet) pod(key string) *corev1.Pod {
	obj, exists, err := k.pods.GetStore().GetByKey(key)
	if err != nil || !exists {
		return nil
	}
	return obj.(*corev1.Pod)
}

// launcherPod is the pod of a VMI, nil when there is none.
func (k *Kubelet) launcherPod(namespace, uid string) *corev1.Pod {
	objs, err := k.pods.GetIndexer().ByIndex("launcher", uid)
	if err != nil {
		return nil
	}
	for _, o := range objs {
		if p := o.(*corev1.Pod); p.Namespace == namespace {
			return p
		}
	}
	return nil
}

func (k *Kubelet) pokeLauncher(namespace, uid string) {
	if p := k.launcherPod(namespace, uid); p != nil {
		k.queue.Add(p.Namespace + "/" + p.Name)
	}
}

func indexLauncher(obj any) ([]string, error) {
	if p, ok := obj.(*corev1.Pod); ok && isLauncher(p) {
		return []string{launcherOf(p)}, nil
	}
	return nil, nil
}

func sleepCtx(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// keepNode makes the Node and keeps it ready until ctx ends. made is closed once it is there.
func (k *Kubelet) keepNode(ctx context.Context, made func()) {
	for ctx.Err() == nil {
		if err := k.writeNode(ctx); err != nil {
			if !apierrors.IsConflict(err) {
				log.Printf("node: %v", err)
			}
			sleepCtx(ctx, 50*time.Millisecond) // the first writes meet the controller-manager's
			continue
		}
		made()
		break
	}
	for ctx.Err() == nil {
		if err := k.renewLease(ctx); err != nil {
			log.Printf("lease: %v", err)
			sleepCtx(ctx, time.Second)
			continue
		}
		sleepCtx(ctx, 10*time.Second)
		// The heartbeat is virt-handler's; one write serves both.
		for range 5 {
			if err := k.writeNode(ctx); err == nil || !apierrors.IsConflict(err) {
				break
			}
		}
	}
}

func (k *Kubelet) labels() map[string]string {
	l := map[string]string{
		"kubernetes.io/hostname": k.node, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
		"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "node-role.kubernetes.io/worker": "",
		"kubevirt.io/schedulable": "true", "cpumanager": "false",
		"cpu-vendor.node.kubevirt.io/Intel": "true", "cpu-timer.node.kubevirt.io/tsc-frequency": "2400000000",
		"cpu-timer.node.kubevirt.io/tsc-scalable": "true",
	}
	for _, m := range []string{"q35", "pc-q35-rhel8.6.0", "pc-q35-rhel9.2.0", "pc-q35-rhel9.4.0", "pc-q35-rhel9.6.0", "pc", "pc-i440fx-rhel7.6.0"} {
		l["machine-type.node.kubevirt.io/"+m] = "true"
	}
	for _, m := range []string{"Skylake-Client-IBRS", "Skylake-Server-IBRS", "Cascadelake-Server", "Icelake-Server", "Haswell-noTSX", "Broadwell", "Penryn", "Nehalem", "Westmere", "SandyBridge", "IvyBridge"} {
		l["cpu-model.node.kubevirt.io/"+m] = "true"
		l["cpu-model-migration.node.kubevirt.io/"+m] = "true"
	}
	l["host-model-cpu.node.kubevirt.io/Icelake-Server"] = "true"
	for _, m := range []string{"base", "frequencies", "ipi", "reenlightenment", "reset", "runtime", "synic", "synic2", "synictimer", "time", "tlbflush", "vpindex"} {
		l["hyperv.node.kubevirt.io/"+m] = "true"
	}
	return l
}

func (k *Kubelet) writeNode(ctx context.Context) error {
	nodes := k.core.CoreV1().Nodes()
	node, err := nodes.Get(ctx, k.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.node, Labels: k.labels(),
			Annotations: map[string]string{"kubevirt.io/heartbeat": now()}}}, metav1.CreateOptions{})
	} else if err == nil {
		for key, value := range k.labels() {
			if _, has := node.Labels[key]; !has { // a label that a test changed stays
				if node.Labels == nil {
					node.Labels = map[string]string{}
				}
				node.Labels[key] = value
			}
		}
		if node.Annotations == nil {
			node.Annotations = map[string]string{}
		}
		node.Annotations["kubevirt.io/heartbeat"] = now() // a bare RFC 3339 time, not a quoted one
		node, err = nodes.Update(ctx, node, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	q := resource.MustParse
	node.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: q("512"), corev1.ResourceMemory: q("4Ti"), corev1.ResourcePods: q("2000"), corev1.ResourceEphemeralStorage: q("10Ti"),
		"hugepages-2Mi": q("0"), "devices.kubevirt.io/kvm": q("1k"), "devices.kubevirt.io/tun": q("1k"),
		"devices.kubevirt.io/vhost-net": q("1k"), "devices.kubevirt.io/vhost-vsock": q("1k"),
	}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}, {Type: corev1.NodeHostName, Address: k.node}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = k.port
	node.Status.NodeInfo = corev1.NodeSystemInfo{MachineID: k.node, SystemUUID: k.node, BootID: k.node, KernelVersion: "6.1.0", OSImage: "played node",
		ContainerRuntimeVersion: "played://1", KubeletVersion: kubeVersion, OperatingSystem: "linux", Architecture: "amd64"}
	for _, c := range []struct {
		kind   corev1.NodeConditionType
		value  corev1.ConditionStatus
		reason string
	}{
		{corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"},
		{corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"},
		{corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"},
		{corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"},
	} {
		next := corev1.NodeCondition{Type: c.kind, Status: c.value, Reason: c.reason, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}
		at := slices.IndexFunc(node.Status.Conditions, func(have corev1.NodeCondition) bool { return have.Type == c.kind })
		if at < 0 {
			node.Status.Conditions = append(node.Status.Conditions, next)
			continue
		}
		if node.Status.Conditions[at].Status == c.value {
			next.LastTransitionTime = node.Status.Conditions[at].LastTransitionTime
		}
		node.Status.Conditions[at] = next
	}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

func (k *Kubelet) renewLease(ctx context.Context) error {
	leases := k.core.CoordinationV1().Leases("kube-node-lease")
	seconds, at := int32(leaseSeconds), metav1.NowMicro()
	lease, err := leases.Get(ctx, k.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: k.node},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &k.node, LeaseDurationSeconds: &seconds, RenewTime: &at}}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &at
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// keepHandlerPod makes the virt-handler pod by whose address virt-api finds this node: exactly one per node.
func (k *Kubelet) keepHandlerPod(ctx context.Context) error {
	name := "virt-handler-" + k.node
	pods := k.core.CoreV1().Pods(k.namespace)
	no := false
	for ctx.Err() == nil {
		have, err := pods.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			have, err = pods.Create(ctx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubevirt.io": "virt-handler"}},
				Spec: corev1.PodSpec{NodeName: k.node, HostNetwork: true, ServiceAccountName: "kubevirt-handler", AutomountServiceAccountToken: &no,
					Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers:  []corev1.Container{{Name: "virt-handler", Image: "played/virt-handler"}}},
			}, metav1.CreateOptions{})
		}
		if err == nil && have.Status.PodIP != "" {
			return nil
		}
		if err != nil {
			log.Printf("virt-handler pod: %v", err)
		}
		sleepCtx(ctx, 100*time.Millisecond)
	}
	return ctx.Err()
}

func (k *Kubelet) nextIP() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ips == 0 { // not the addresses that an earlier process gave to pods that still run
		k.ips = int(time.Now().Unix()%250) << 8
	}
	k.ips++
	return net.IPv4(10, 244, byte(k.ips>>8), byte(k.ips)).String()
}

// reconcile brings one pod a step on.
func (k *Kubelet) reconcile(key string) error {
	p := k.pod(key)
	if p == nil {
		k.logs.forget(key)
		return nil
	}
	if isLauncher(p) {
		// The VMI's own events do not tell of its pod.
		k.handler.queue.Add(p.Namespace + "/" + p.Annotations["kubevirt.io/domain"])
	}
	final := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	switch {
	case p.DeletionTimestamp != nil:
		return k.end(key, p)
	case final:
		return nil
	case p.Status.Phase == corev1.PodPending || p.Status.Phase == "":
		bound, err := k.claimsBound(p)
		if err != nil {
			return err
		}
		if !bound {
			k.queue.AddAfter(key, claimRetry)
			return nil
		}
		k.logs.add(key, "started")
		return k.write(p, k.running(p))
	case isLauncher(p) && k.vmiFinal(p):
		return k.write(p, terminated(p, corev1.PodSucceeded))
	case p.Annotations["kubevirt.io/ephemeral-provisioning"] != "":
		return k.write(p, terminated(p, corev1.PodSucceeded)) // made only to bind a claim
	}
	return k.write(p, k.running(p)) // Ready follows the readiness gates
}

func (k *Kubelet) vmiFinal(p *corev1.Pod) bool {
	vmi := k.handler.vmi(p.Namespace + "/" + p.Annotations["kubevirt.io/domain"])
	if vmi == nil || string(vmi.GetUID()) != launcherOf(p) {
		return false
	}
	phase := phaseOf(vmi)
	return phase == "Succeeded" || phase == "Failed"
}

func (k *Kubelet) claimsBound(p *corev1.Pod) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		pvc, err := k.core.CoreV1().PersistentVolumeClaims(p.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if pvc.Status.Phase != corev1.ClaimBound {
			return false, nil
		}
	}
	return true, nil
}

// running is the status of p while its containers run.
func (k *Kubelet) running(p *corev1.Pod) *corev1.PodStatus {
	s := p.Status.DeepCopy()
	started := metav1.Now()
	if s.StartTime != nil {
		started = *s.StartTime
	}
	s.Phase, s.StartTime, s.HostIP = corev1.PodRunning, &started, "127.0.0.1"
	s.HostIPs = []corev1.HostIP{{IP: "127.0.0.1"}}
	if s.PodIP == "" {
		s.PodIP = "127.0.0.1"
		if !p.Spec.HostNetwork { // a loopback address is refused in EndpointSlices
			s.PodIP = k.nextIP()
		}
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	}
	if s.QOSClass == "" {
		s.QOSClass = corev1.PodQOSBurstable
	}
	yes := true
	if len(s.ContainerStatuses) != len(p.Spec.Containers) {
		s.ContainerStatuses = nil
		for _, c := range p.Spec.Containers {
			s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: true, Started: &yes,
				ContainerID: fmt.Sprintf("played://%s/%s", p.UID, c.Name), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}})
		}
		s.InitContainerStatuses = nil
		for _, c := range p.Spec.InitContainers {
			state := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: started, FinishedAt: started}}
			if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
				state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
			}
			s.InitContainerStatuses = append(s.InitContainerStatuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image, Ready: true, Started: &yes,
				ContainerID: fmt.Sprintf("played://%s/%s", p.UID, c.Name), State: state})
		}
	}
	ready := corev1.ConditionTrue
	reason := ""
	for _, gate := range p.Spec.ReadinessGates {
		if !slices.ContainsFunc(s.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		}) {
			ready, reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		}
	}
	setPodCondition(s, corev1.PodReadyToStartContainers, corev1.ConditionTrue, "")
	setPodCondition(s, corev1.PodInitialized, corev1.ConditionTrue, "")
	setPodCondition(s, corev1.ContainersReady, corev1.ConditionTrue, "")
	setPodCondition(s, corev1.PodReady, ready, reason)
	return s
}

// terminated is the status of p after its containers ended.
func terminated(p *corev1.Pod, phase corev1.PodPhase) *corev1.PodStatus {
	s := p.Status.DeepCopy()
	s.Phase = phase
	ended := metav1.Now()
	for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses} {
		for i := range list {
			c := &list[i]
			if c.State.Terminated != nil {
				continue
			}
			no := false
			c.Ready, c.Started = false, &no
			started := ended
			if c.State.Running != nil {
				started = c.State.Running.StartedAt
			}
			c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: started, FinishedAt: ended, ContainerID: c.ContainerID}}
		}
	}
	setPodCondition(s, corev1.PodReady, corev1.ConditionFalse, "PodCompleted")
	setPodCondition(s, corev1.ContainersReady, corev1.ConditionFalse, "PodCompleted")
	return s
}

func setPodCondition(s *corev1.PodStatus, kind corev1.PodConditionType, value corev1.ConditionStatus, reason string) {
	next := corev1.PodCondition{Type: kind, Status: value, Reason: reason, LastTransitionTime: metav1.Now()}
	for i, c := range s.Conditions {
		if c.Type == kind {
			if c.Status == value && c.Reason == reason {
				return
			}
			s.Conditions[i] = next
			return
		}
	}
	s.Conditions = append(s.Conditions, next)
}

func (k *Kubelet) write(p *corev1.Pod, s *corev1.PodStatus) error {
	if equality.Semantic.DeepEqual(&p.Status, s) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	next := p.DeepCopy()
	next.Status = *s
	_, err := k.core.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// end finishes a pod that is being deleted: a launcher's guest shuts down first and its VMI says so before the pod goes.
func (k *Kubelet) end(key string, p *corev1.Pod) error {
	if isLauncher(p) && !k.handler.podMayEnd(p) {
		left := time.Until(p.DeletionTimestamp.Time) // it has the grace period in it
		if left > 0 {
			k.queue.AddAfter(key, min(left, time.Second))
			return nil
		}
		if inst := k.handler.get(launcherOf(p)); inst != nil {
			inst.end("destroyed")
			k.queue.AddAfter(key, claimRetry)
			return nil
		}
	}
	final := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	if !final && p.Status.Phase != corev1.PodPending {
		if err := k.write(p, terminated(p, corev1.PodSucceeded)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	zero := int64(0)
	err := k.core.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &p.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

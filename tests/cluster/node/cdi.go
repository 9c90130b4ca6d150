package main

// CDI, played: a DataVolume of any source becomes an empty PVC of its name or adopts the one that is there. The rules
// kept are those that KubeVirt's start, snapshot and restore depend on
// (CDI pkg/controller/datavolume/controller-base.go).

import (
	"context"
	"log"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

var dataVolumeResource = schema.GroupVersionResource{Group: "cdi.kubevirt.io", Version: "v1beta1", Resource: "datavolumes"}

const (
	prePopulated = "cdi.kubevirt.io/storage.prePopulated" // on a DataVolume: never make the PVC
	populatedFor = "cdi.kubevirt.io/storage.populatedFor" // on a PVC: DataVolume of that name adopts it
	adoptClaim   = "cdi.kubevirt.io/allowClaimAdoption"
)

// CDI plays the DataVolume controller. PVC events reach its queue under the DataVolume's key: they share the name.
type CDI struct {
	core    kubernetes.Interface
	dynamic dynamic.Interface
	dvs     cache.SharedIndexInformer
	claims  cache.SharedIndexInformer
	queue   workqueue.TypedRateLimitingInterface[string]
}

func (c *CDI) reconcile(key string) error {
	obj, exists, err := c.dvs.GetStore().GetByKey(key)
	if err != nil || !exists {
		return err
	}
	dv := obj.(*unstructured.Unstructured)
	if dv.GetDeletionTimestamp() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	claims := c.core.CoreV1().PersistentVolumeClaims(dv.GetNamespace())
	pvc, err := claims.Get(ctx, dv.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, pre := dv.GetAnnotations()[prePopulated]
	phase := str(dv.Object, "status", "phase")
	if apierrors.IsNotFound(err) {
		switch {
		case pre: // a restore in place took the claim away; virt-controller goes on when it sees this change
			return c.setPhase(ctx, dv, "Pending", nil)
		case phase == "Succeeded":
			return c.setPhase(ctx, dv, phase, nil)
		}
		if pvc, err = claims.Create(ctx, claimFor(dv), metav1.CreateOptions{}); err != nil {
			if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
				c.queue.AddAfter(key, 100*time.Millisecond)
				return nil
			}
			return err
		}
	}
	if pvc.DeletionTimestamp != nil {
		return nil
	}
	if !metav1.IsControlledBy(pvc, dv) {
		if metav1.GetControllerOf(pvc) != nil && pvc.Annotations[populatedFor] != dv.GetName() {
			return c.setPhase(ctx, dv, "Pending", pvc) // somebody else's
		}
		adopt := pvc.Annotations[populatedFor] == dv.GetName() || dv.GetAnnotations()[adoptClaim] == "true" || pvc.Annotations[adoptClaim] == "true"
		if !adopt {
			return c.setPhase(ctx, dv, "Pending", pvc)
		}
		if metav1.GetControllerOf(pvc) != nil {
			return c.setPhase(ctx, dv, "Pending", pvc)
		}
		next := pvc.DeepCopy()
		next.OwnerReferences = append(next.OwnerReferences, ownerRef(dv))
		if pvc, err = claims.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	switch {
	case pvc.Status.Phase == corev1.ClaimBound:
		return c.setPhase(ctx, dv, "Succeeded", pvc)
	case phase == "Succeeded":
		return nil
	case c.waitsForConsumer(ctx, pvc):
		return c.setPhase(ctx, dv, "WaitForFirstConsumer", pvc)
	}
	return c.setPhase(ctx, dv, "Pending", pvc)
}

func ownerRef(dv *unstructured.Unstructured) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: "cdi.kubevirt.io/v1beta1", Kind: "DataVolume", Name: dv.GetName(), UID: dv.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes}
}

// claimFor is the PVC of a DataVolume: spec.pvc, or spec.storage with CDI's usual defaults.
func claimFor(dv *unstructured.Unstructured) *corev1.PersistentVolumeClaim {
	spec := corev1.PersistentVolumeClaimSpec{}
	for _, field := range []string{"pvc", "storage"} {
		if m, found, _ := unstructured.NestedMap(dv.Object, "spec", field); found {
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &spec); err != nil {
				log.Printf("datavolume %s/%s: %v", dv.GetNamespace(), dv.GetName(), err)
			}
			break
		}
	}
	if len(spec.AccessModes) == 0 {
		spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	if _, has := spec.Resources.Requests[corev1.ResourceStorage]; !has {
		spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	}
	spec.DataSource, spec.DataSourceRef = nil, nil
	annotations := map[string]string{"cdi.kubevirt.io/storage.contentType": "kubevirt"}
	for k, v := range dv.GetAnnotations() {
		if k != "kubectl.kubernetes.io/last-applied-configuration" {
			annotations[k] = v
		}
	}
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: dv.GetName(), Namespace: dv.GetNamespace(), Labels: dv.GetLabels(),
		Annotations: annotations, OwnerReferences: []metav1.OwnerReference{ownerRef(dv)}}, Spec: spec}
}

func (c *CDI) waitsForConsumer(ctx context.Context, pvc *corev1.PersistentVolumeClaim) bool {
	if pvc.Spec.StorageClassName == nil {
		return false
	}
	class, err := c.core.StorageV1().StorageClasses().Get(ctx, *pvc.Spec.StorageClassName, metav1.GetOptions{})
	return err == nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

func (c *CDI) setPhase(ctx context.Context, dv *unstructured.Unstructured, phase string, pvc *corev1.PersistentVolumeClaim) error {
	next := dv.DeepCopy()
	s := status(next)
	s["phase"], s["progress"] = phase, "N/A"
	bound, ready := "False", "False"
	if pvc != nil {
		s["claimName"] = pvc.Name
		if pvc.Status.Phase == corev1.ClaimBound {
			bound = "True"
		}
	}
	if phase == "Succeeded" {
		s["progress"], ready = "100.0%", bound
	}
	for kind, value := range map[string]string{"Bound": bound, "Ready": ready, "Running": "False"} {
		have := condition(next, kind)
		if have != nil && have["status"] == value {
			continue
		}
		removeCondition(next, kind)
		conditions, _ := s["conditions"].([]any)
		s["conditions"] = append(conditions, map[string]any{"type": kind, "status": value, "lastTransitionTime": now(), "lastHeartbeatTime": now()})
	}
	if reflect.DeepEqual(dv.Object, next.Object) {
		return nil
	}
	client := c.dynamic.Resource(dataVolumeResource).Namespace(dv.GetNamespace())
	// The CRD has a status subresource in some releases of CDI and none in others.
	_, err := client.UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = client.Update(ctx, next, metav1.UpdateOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

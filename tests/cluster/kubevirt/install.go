package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/rbac"
)

const (
	fieldManager = "vmbackup-rig"
	workers      = 8
	patience     = 60 * time.Second // for everything together
)

type options struct {
	kubeconfig string
	certs      string // folder that makeCerts filled
	crds       string // YAML files or folders of further CRDs, separated by commas
	manifests  string // the same, of what is applied last
	version    string // of KubeVirt, without the v
	gates      string // feature gates, separated by commas
	without    string // feature gates to turn off
	virtAPI    int    // port of virt-api on localhost
}

func install(args []string) error {
	var o options
	flags := flag.NewFlagSet("install", flag.ExitOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "admin `file`")
	flags.StringVar(&o.certs, "certs", "", "`folder` filled by the command certs")
	flags.StringVar(&o.crds, "crds", "", "YAML `files` or folders of further CRDs, separated by commas")
	flags.StringVar(&o.manifests, "manifests", "", "YAML `files` or folders of what is applied last")
	flags.StringVar(&o.version, "version", "", "`version` that the KubeVirt object reports")
	flags.StringVar(&o.gates, "gates", "", "feature `gates` to turn on, separated by commas")
	flags.StringVar(&o.without, "without-gates", "", "feature `gates` to turn off, separated by commas")
	flags.IntVar(&o.virtAPI, "virt-api-port", 0, "`port` of virt-api on localhost")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 500
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return (&installer{ctx, client, o}).install()
}

type installer struct {
	ctx     context.Context
	client  dynamic.Interface
	options options
}

// install goes in the order that the parts need: virt-api and virt-controller end themselves when a CRD that they
// look for appears later than they do, so the CRDs come first.
func (i *installer) install() error {
	began := time.Now()
	step := func(what string, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		fmt.Printf("%5.2f s  %s\n", time.Since(began).Seconds(), what)
		return nil
	}
	if err := step("namespace", i.apply([]runtime.Object{i.namespace()})); err != nil {
		return err
	}
	crds, err := i.crds()
	if err != nil {
		return err
	}
	if err := step(fmt.Sprintf("%d CRDs", len(crds)), i.apply(crds)); err != nil {
		return err
	}
	rest, err := i.infrastructure()
	if err != nil {
		return err
	}
	if err := step("roles, certificates, services", i.apply(rest)); err != nil {
		return err
	}
	if err := step("CRDs established", i.waitEstablished(crds)); err != nil {
		return err
	}
	if err := step("configuration", i.kubeVirt()); err != nil {
		return err
	}
	hooks, err := i.hooks()
	if err != nil {
		return err
	}
	manifests, err := readManifests(i.options.manifests)
	if err != nil {
		return err
	}
	return step("webhooks, API services, storage classes", i.apply(append(hooks, manifests...)))
}

func (i *installer) namespace() runtime.Object {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "privileged"}},
	}
}

type crdMaker = func() (*extv1.CustomResourceDefinition, error)

func commonCRDs() []crdMaker {
	return []crdMaker{
		components.NewVirtualMachineInstanceCrd,
		components.NewVirtualMachineCrd,
		components.NewPresetCrd,
		components.NewReplicaSetCrd,
		components.NewVirtualMachineInstanceMigrationCrd,
		components.NewKubeVirtCrd,
		components.NewVirtualMachinePoolCrd,
		components.NewVirtualMachineSnapshotCrd,
		components.NewVirtualMachineSnapshotContentCrd,
		components.NewVirtualMachineRestoreCrd,
		components.NewVirtualMachineExportCrd,
		components.NewVirtualMachineInstancetypeCrd,
		components.NewVirtualMachineClusterInstancetypeCrd,
		components.NewVirtualMachinePreferenceCrd,
		components.NewVirtualMachineClusterPreferenceCrd,
		components.NewMigrationPolicyCrd,
		components.NewVirtualMachineCloneCrd,
	}
}

// networkAttachmentDefinitions is what virt-controller watches of Multus; its content is of no interest here.
func networkAttachmentDefinitions() runtime.Object {
	anything := true
	return &extv1.CustomResourceDefinition{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: "network-attachment-definitions.k8s.cni.cncf.io"},
		Spec: extv1.CustomResourceDefinitionSpec{
			Group: "k8s.cni.cncf.io",
			Scope: extv1.NamespaceScoped,
			Names: extv1.CustomResourceDefinitionNames{
				Plural: "network-attachment-definitions", Singular: "network-attachment-definition",
				Kind: "NetworkAttachmentDefinition", ListKind: "NetworkAttachmentDefinitionList", ShortNames: []string{"net-attach-def"},
			},
			Versions: []extv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &extv1.CustomResourceValidation{OpenAPIV3Schema: &extv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &anything}},
			}},
		},
	}
}

func (i *installer) crds() ([]runtime.Object, error) {
	objects := []runtime.Object{networkAttachmentDefinitions()}
	for _, make := range newCRDs() {
		crd, err := make()
		if err != nil {
			return nil, err
		}
		objects = append(objects, crd)
	}
	more, err := readManifests(i.options.crds)
	if err != nil {
		return nil, err
	}
	return append(objects, more...), nil
}

// readManifests reads YAML files, and all *.yaml of folders, separated by commas.
func readManifests(paths string) ([]runtime.Object, error) {
	var objects []runtime.Object
	for _, path := range strings.FieldsFunc(paths, comma) {
		files := []string{path}
		if info, err := os.Stat(path); err != nil {
			return nil, err
		} else if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
				return nil, err
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("no manifests in %s", path)
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for _, document := range strings.Split("\n"+string(text), "\n---") {
				object := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				if object.GetKind() != "" { // else only comments
					objects = append(objects, object)
				}
			}
		}
	}
	return objects, nil
}

func comma(r rune) bool { return r == ',' }

// infrastructure is what virt-operator applies before its workloads: priority class, RBAC, secrets, CA bundles,
// and the service by which API server and webhook client find virt-api. It is of type ExternalName: with aggregator
// routing off both follow it to localhost, and everything else about them stays as in a real cluster.
func (i *installer) infrastructure() ([]runtime.Object, error) {
	objects := []runtime.Object{components.NewKubeVirtPriorityClassCR()}
	for _, list := range [][]runtime.Object{
		rbac.GetAllCluster(), rbac.GetAllApiServer(namespace), controllerRBAC(),
		rbac.GetAllHandler(namespace), rbac.GetAllExportProxy(namespace),
	} {
		objects = append(objects, list...)
	}
	for _, secret := range append(components.NewCACertSecrets(namespace), components.NewCertSecrets(namespace, namespace)...) {
		if err := readSecret(i.options.certs, secret); err != nil {
			return nil, err
		}
		objects = append(objects, secret)
	}
	for _, bundle := range components.NewCAConfigMaps(namespace) {
		ca, err := os.ReadFile(filepath.Join(i.options.certs, bundle.Name, corev1.TLSCertKey))
		if os.IsNotExist(err) {
			continue // the external CA is the administrator's to give
		} else if err != nil {
			return nil, err
		}
		bundle.Data = map[string]string{components.CABundleKey: string(ca)}
		objects = append(objects, bundle)
	}
	objects = append(objects,
		&corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Name: components.VirtApiServiceName, Namespace: namespace},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
		},
		bind("rig-node", "cluster-admin", "User", "rig-node"),
		bind("rig-editor", "edit", "User", "editor"),
		bind("rig-viewer", "view", "User", "viewer"),
	)
	return objects, nil
}

func bind(name, role, kind, subject string) runtime.Object {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: kind, Name: subject}},
	}
}

// kubeVirt creates the KubeVirt object with the status that virt-operator would write. Without a phase KubeVirt
// ignores the configuration, and so every feature gate (pkg/virt-config/configuration.go).
func (i *installer) kubeVirt() error {
	off := map[string]bool{}
	for _, gate := range strings.FieldsFunc(i.options.without, comma) {
		off[gate] = true
	}
	gates := []any{}
	for _, gate := range strings.FieldsFunc(i.options.gates, comma) {
		if !off[gate] {
			gates = append(gates, gate)
		}
	}
	developer := map[string]any{"featureGates": gates}
	if hasDisabledGates {
		disabled := []any{}
		for gate := range off {
			disabled = append(disabled, gate)
		}
		developer["disabledFeatureGates"] = disabled
	}
	version := "v" + i.options.version
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt",
		"metadata": map[string]any{"name": "kubevirt", "namespace": namespace},
		"spec": map[string]any{
			"configuration": map[string]any{"developerConfiguration": developer},
		},
	}}
	kubeVirts := i.client.Resource(schema.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "kubevirts"}).Namespace(namespace)
	created, err := kubeVirts.Create(i.ctx, object, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return err
	}
	now := metav1.Now().UTC().Format(time.RFC3339)
	condition := func(kind, status string) any {
		return map[string]any{"type": kind, "status": status, "lastProbeTime": now, "lastTransitionTime": now, "reason": "Installed", "message": "installed by the test rig"}
	}
	deployment, err := json.Marshal(map[string]string{"namespace": namespace, "registry": "registry.invalid/kubevirt", "kubeVirtVersion": version})
	if err != nil {
		return err
	}
	created.Object["status"] = map[string]any{
		"phase":                    "Deployed",
		"operatorVersion":          version,
		"observedKubeVirtVersion":  version,
		"targetKubeVirtVersion":    version,
		"observedKubeVirtRegistry": "registry.invalid/kubevirt",
		"targetKubeVirtRegistry":   "registry.invalid/kubevirt",
		"observedDeploymentConfig": string(deployment),
		"targetDeploymentConfig":   string(deployment),
		"defaultArchitecture":      "amd64",
		"conditions": []any{
			condition("Available", "True"), condition("Created", "True"), condition("Progressing", "False"), condition("Degraded", "False"),
		},
	}
	_, err = kubeVirts.UpdateStatus(i.ctx, created, metav1.UpdateOptions{FieldManager: fieldManager})
	return err
}

func commonWebhooks() []runtime.Object {
	return []runtime.Object{
		components.NewVirtAPIValidatingWebhookConfiguration(namespace),
		components.NewVirtAPIMutatingWebhookConfiguration(namespace),
	}
}

// hooks are KubeVirt's webhook configurations and API services with the port and the CA of our virt-api in them.
func (i *installer) hooks() ([]runtime.Object, error) {
	ca, err := os.ReadFile(filepath.Join(i.options.certs, components.KubeVirtCASecretName, corev1.TLSCertKey))
	if err != nil {
		return nil, err
	}
	objects := newWebhooks()
	for _, service := range components.NewVirtAPIAPIServices(namespace) {
		objects = append(objects, service)
	}
	for n, object := range objects {
		u, err := toUnstructured(object)
		if err != nil {
			return nil, err
		}
		if spec, ok := u.Object["spec"].(map[string]any); ok {
			i.reach(spec, ca)
		}
		webhooks, _ := u.Object["webhooks"].([]any)
		for _, webhook := range webhooks {
			i.reach(webhook.(map[string]any)["clientConfig"].(map[string]any), ca)
		}
		objects[n] = u
	}
	return objects, nil
}

func (i *installer) reach(config map[string]any, ca []byte) {
	config["caBundle"] = ca // []byte is base64 in JSON
	config["service"].(map[string]any)["port"] = int64(i.options.virtAPI)
}

func toUnstructured(object runtime.Object) (*unstructured.Unstructured, error) {
	if u, ok := object.(*unstructured.Unstructured); ok {
		return u, nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	return &unstructured.Unstructured{Object: content}, nil
}

// apply creates all objects, or applies them (server-side) where they exist, several at a time. The first error wins.
func (i *installer) apply(objects []runtime.Object) error {
	var wait sync.WaitGroup
	queue := make(chan runtime.Object)
	failures := make(chan error, len(objects))
	for range workers {
		wait.Go(func() {
			for object := range queue {
				if err := i.applyOne(object); err != nil {
					failures <- err
				}
			}
		})
	}
	for _, object := range objects {
		queue <- object
	}
	close(queue)
	wait.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

func (i *installer) applyOne(object runtime.Object) error {
	u, err := toUnstructured(object)
	if err != nil {
		return err
	}
	unstructured.RemoveNestedField(u.Object, "status")
	body, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	decoded := &unstructured.Unstructured{}
	if err := decoded.UnmarshalJSON(body); err != nil {
		return err
	}
	resource, _ := meta.UnsafeGuessKindToResource(decoded.GroupVersionKind())
	var client dynamic.ResourceInterface = i.client.Resource(resource)
	if decoded.GetNamespace() != "" {
		client = i.client.Resource(resource).Namespace(decoded.GetNamespace())
	}
	// Creating costs the API server less than applying, which is for the few objects that it makes itself.
	_, err = client.Create(i.ctx, decoded, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.Apply(i.ctx, decoded.GetName(), decoded, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", decoded.GetKind(), decoded.GetName(), err)
	}
	return nil
}

func (i *installer) waitEstablished(crds []runtime.Object) error {
	resource := i.client.Resource(extv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))
	for {
		list, err := resource.List(i.ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		missing := len(crds)
		for n := range list.Items {
			if established(&list.Items[n]) {
				missing--
			}
		}
		if missing <= 0 {
			return nil
		}
		select {
		case <-i.ctx.Done():
			return fmt.Errorf("%d of %d are not established: %w", missing, len(crds), i.ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] == string(extv1.Established) {
			return condition["status"] == "True"
		}
	}
	return false
}

#include "options.hpp"

namespace vmbackup::sandbox {

const char* demo_manifest() {
  return R"(apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: db-0-root, namespace: prod}
spec: {accessModes: [ReadWriteOnce], storageClassName: rig, resources: {requests: {storage: 20Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: db-0-data, namespace: prod}
spec: {accessModes: [ReadWriteOnce], storageClassName: rig, resources: {requests: {storage: 100Gi}}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: db-0, namespace: prod, labels: {app: db}}
spec:
  runStrategy: Always
  template:
    metadata: {labels: {app: db}}
    spec:
      domain:
        resources: {requests: {memory: 4Gi}}
        devices:
          disks:
          - {name: root, disk: {bus: virtio}}
          - {name: data, disk: {bus: virtio}}
          - {name: cloudinit, disk: {bus: virtio}}
      volumes:
      - {name: root, persistentVolumeClaim: {claimName: db-0-root}}
      - {name: data, persistentVolumeClaim: {claimName: db-0-data}}
      - {name: cloudinit, cloudInitNoCloud: {userData: "#cloud-config\n"}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: web-0-root, namespace: prod}
spec: {accessModes: [ReadWriteOnce], storageClassName: rig, resources: {requests: {storage: 10Gi}}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: web-0, namespace: prod, labels: {app: web}}
spec:
  runStrategy: Always
  template:
    metadata:
      labels: {app: web}
      annotations: {guest.vmbackup.test/agent: none}
    spec:
      domain:
        resources: {requests: {memory: 2Gi}}
        devices: {disks: [{name: root, disk: {bus: virtio}}]}
      volumes:
      - {name: root, persistentVolumeClaim: {claimName: web-0-root}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: batch-0-root, namespace: prod}
spec: {accessModes: [ReadWriteOnce], storageClassName: rig, resources: {requests: {storage: 10Gi}}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: batch-0, namespace: prod, labels: {app: batch}}
spec:
  runStrategy: Halted
  template:
    spec:
      domain:
        resources: {requests: {memory: 2Gi}}
        devices: {disks: [{name: root, disk: {bus: virtio}}]}
      volumes:
      - {name: root, persistentVolumeClaim: {claimName: batch-0-root}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: legacy-0-root, namespace: prod}
spec: {accessModes: [ReadWriteOnce], storageClassName: plain, resources: {requests: {storage: 40Gi}}}
---
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: legacy-0, namespace: prod, labels: {app: legacy}}
spec:
  runStrategy: Always
  template:
    metadata: {labels: {app: legacy}}
    spec:
      domain:
        resources: {requests: {memory: 1Gi}}
        devices: {disks: [{name: root, disk: {bus: virtio}}]}
      volumes:
      - {name: root, persistentVolumeClaim: {claimName: legacy-0-root}}
)";
}

}  // namespace vmbackup::sandbox

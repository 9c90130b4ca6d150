// Command vmbackup-csi is the storage of the test cluster: a CSI driver whose volumes are plain directories, and the
// supervisor that runs it beside the real CSI sidecars.
//
//	vmbackup-csi run-all --state DIR --kubeconfig FILE --bin DIR [--end-with-parent=false]
//	vmbackup-csi driver  --state DIR --socket PATH [--name NAME] [--snapshots=false]
//
// run-all starts, and keeps running, everything that storage needs once the API server serves the snapshot CRDs:
//
//	csi.vmbackup.test    driver, csi-provisioner, csi-snapshotter, csi-resizer
//	plain.vmbackup.test  driver without snapshots, csi-provisioner
//	snapshot-controller
//
// The binaries are taken from --bin. It prints "ready" on stdout once all of them have been started. A driver that goes
// away is started again together with its sidecars, a sidecar that goes away is started again alone. Logs are
// STATE/logs/NAME.log, where NAME is csi-driver, csi-provisioner, csi-snapshotter, csi-resizer, plain-driver,
// plain-provisioner or snapshot-controller; the process id of the running one is in STATE/csi/NAME.pid, for tests that
// stop or kill it. run-all ends on TERM, INT or HUP, and when its parent ends (the thread that started it, in the
// kernel's words: a shell that goes on living is fine); no child survives it, not even when it is killed.
// Exit: 0 after a signal, 1 if it could not start, 2 for wrong usage.
//
// driver serves the CSI identity and controller services on a Unix socket and nothing else: there is no node service,
// volumes are never published or attached.
//
// # State folder
//
//	STATE/volumes/ID/        a volume. Filesystem mode: the directory is the file system. Block mode: the sparse file
//	                         disk.img in it, of the volume's size. The size of a filesystem is recorded, not enforced.
//	STATE/snapshots/ID/      the copy that a snapshot is, of the same shape
//	STATE/csi/DRIVER/...     what the driver remembers of both, one JSON file each
//	STATE/csi-events.jsonl   what happened, see events.go
//
// ID is the name under which the sidecar asked for it (pvc-UID, snapshot-UID). A PersistentVolume carries its directory
// as spec.csi.volumeAttributes["path"].
//
// # The cut
//
// A snapshot is a recursive copy of the volume, and no instant by itself. A program that writes into a volume and wants
// one takes a shared flock on the volume's directory (block mode too) while it writes; the driver takes the exclusive
// flock for the copy. It waits for it 5 s at most, then copies anyway and says locked=false in the event.
//
// # Knobs
//
// Class parameters make the storage slow or faulty:
//
//	VolumeSnapshotClass, StorageClass  snapshotDelay   time before the cut: seconds, a Go duration, or never
//	                                   readyDelay      time from the cut to ready_to_use, the same way
//	                                   failSnapshots   none | always[:TEXT] | first:N[:TEXT] | TEXT
//	VolumeSnapshotClass                failDelete      deleting the snapshot fails, values as failSnapshots
//	StorageClass                       failDelete      deleting the volume fails
//	                                   failDeleteSnapshot  deleting a snapshot of the volume fails
//	                                   provisionDelay  time before the volume is made
//	                                   failProvision   making the volume fails
//	both                               failCode        gRPC code of every failure; INTERNAL by default
//
// A driver learns a VolumeSnapshotClass's parameters with the request. Those of the StorageClass are remembered with the
// volume when it is made; a snapshot obeys its own class first and, for each knob that it does not set, the volume's.
// Snapshots remember what they need for their deletion in the same way. NAME@GLOB sets a knob only where GLOB
// (path.Match) fits the PVC's name; the longest fitting GLOB wins, one without GLOB comes last. An unknown parameter or an
// impossible value is answered with InvalidArgument, so a misspelt knob cannot pass for a healthy disk.
//
// first:N counts the attempts at one volume or snapshot, in memory. TEXT becomes the error's text. A text for "fails
// always" that would itself start with a keyword is written always:TEXT. Codes Canceled, DeadlineExceeded, Unavailable,
// ResourceExhausted and Aborted are not final for the sidecars: a VolumeSnapshot deleted in that state hangs until a
// final answer comes. A delay longer than the sidecar's timeout works: the work goes on, and the retry joins it.
package main

import (
	"flag"
	"fmt"
	"os"
)

const usage = `usage: vmbackup-csi run-all --state DIR --kubeconfig FILE --bin DIR
       vmbackup-csi driver --state DIR --socket PATH [--name NAME] [--snapshots=false]
`

func main() {
	if len(os.Args) < 2 {
		usageError("a command is needed")
	}
	var err error
	switch os.Args[1] {
	case "run-all":
		err = runAll(os.Args[2:])
	case "driver":
		err = serveDriver(os.Args[2:])
	case "help", "-h", "--help":
		fmt.Print(usage)
		return
	default:
		usageError(fmt.Sprintf("unknown command %q", os.Args[1]))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// parse reads flags into set and ends the process with status 2 unless every required one has a value.
func parse(set *flag.FlagSet, args []string, required ...string) {
	set.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	_ = set.Parse(args) // flag.ExitOnError
	if set.NArg() > 0 {
		usageError(fmt.Sprintf("unexpected argument %q", set.Arg(0)))
	}
	for _, name := range required {
		if set.Lookup(name).Value.String() == "" {
			usageError("--" + name + " is needed")
		}
	}
}

func usageError(message string) {
	fmt.Fprintf(os.Stderr, "error: %s\n%s", message, usage)
	os.Exit(2)
}

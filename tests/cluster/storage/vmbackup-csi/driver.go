package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// defaultSize is a volume's size when nobody asks for one, bytes.
const defaultSize = 1 << 30

// driver is the CSI identity and controller service (spec.md of container-storage-interface, v1.12). Requests are
// answered as the specification's tables say; knobs are the only other source of errors.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	name      string
	snapshots bool
	store     *store
	events    *eventLog
	work      *operations
	locks     *locks
}

func newDriver(state, name string, snapshots bool) (*driver, error) {
	s, err := openStore(state, name)
	if err != nil {
		return nil, err
	}
	events, err := openEvents(filepath.Join(state, "csi-events.jsonl"), name)
	if err != nil {
		return nil, err
	}
	return &driver{name: name, snapshots: snapshots, store: s, events: events, work: newOperations(), locks: newLocks()}, nil
}

// serveDriver is the command "driver": it serves until TERM or INT.
func serveDriver(args []string) error {
	set := flag.NewFlagSet("driver", flag.ExitOnError)
	state := set.String("state", "", "state folder")
	socket := set.String("socket", "", "Unix socket to serve on")
	name := set.String("name", "csi.vmbackup.test", "CSI driver name")
	snapshots := set.Bool("snapshots", true, "offer snapshots, clones and expansion")
	parse(set, args, "state", "socket", "name")
	absolute, err := filepath.Abs(*state)
	if err != nil {
		return err
	}
	d, err := newDriver(absolute, *name, *snapshots)
	if err != nil {
		return err
	}
	if err := os.Remove(*socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logCalls))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.Stop()
	}()
	log.Printf("%s serves on %s", *name, *socket)
	return server.Serve(listener)
}

// logCalls writes a line per call that is not a probe.
func logCalls(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	start := time.Now()
	response, err := handle(ctx, request)
	if info.FullMethod != csi.Identity_Probe_FullMethodName {
		log.Printf("%s %v took %s: %v %v", info.FullMethod, request, time.Since(start).Round(time.Microsecond),
			status.Code(err), err)
	}
	return response, err
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	response := &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}}}}}
	if d.snapshots {
		response.Capabilities = append(response.Capabilities, &csi.PluginCapability{
			Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{
				Type: csi.PluginCapability_VolumeExpansion_ONLINE}}})
	}
	return response, nil
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	offered := []csi.ControllerServiceCapability_RPC_Type{csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME}
	if d.snapshots {
		offered = append(offered, csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
			csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS, csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
			csi.ControllerServiceCapability_RPC_EXPAND_VOLUME)
	}
	response := &csi.ControllerGetCapabilitiesResponse{}
	for _, capability := range offered {
		response.Capabilities = append(response.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: capability}}})
	}
	return response, nil
}

// failed logs a failure of a kind of event and passes it on.
func (d *driver) failed(kind string, e event, err error) error {
	e.Event, e.Code, e.Error = kind, status.Code(err).String(), status.Convert(err).Message()
	d.events.add(e)
	return err
}

// internal turns an error of the file system into one that the sidecar retries for ever.
func internal(err error) error {
	if errors.Is(err, context.Canceled) {
		return status.Error(codes.Aborted, "stopped before it was done")
	}
	return status.Error(codes.Internal, err.Error())
}

func (d *driver) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	if !d.snapshots {
		return nil, status.Error(codes.Unimplemented, "this driver makes no snapshots")
	}
	all, err := d.store.snapshots()
	if err != nil {
		return nil, internal(err)
	}
	var fitting []*snapshot
	for _, s := range all {
		if (request.SnapshotId == "" || request.SnapshotId == s.ID) && (request.SourceVolumeId == "" || request.SourceVolumeId == s.Volume) {
			fitting = append(fitting, s)
		}
	}
	first := 0
	if request.StartingToken != "" {
		first, err = strconv.Atoi(request.StartingToken)
		if err != nil || first < 0 || first > len(fitting) {
			return nil, status.Error(codes.Aborted, "no such starting token")
		}
	}
	response := &csi.ListSnapshotsResponse{}
	for i := first; i < len(fitting); i++ {
		if request.MaxEntries > 0 && i-first == int(request.MaxEntries) {
			response.NextToken = strconv.Itoa(i)
			break
		}
		response.Entries = append(response.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: answer(fitting[i])})
	}
	return response, nil
}

// answer is a snapshot in CSI's words. It becomes ready when its time has come, without anybody touching its record.
func answer(s *snapshot) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     s.ID,
		SourceVolumeId: s.Volume,
		SizeBytes:      s.Size,
		CreationTime:   timestamppb.New(time.Unix(0, s.Created)),
		ReadyToUse:     s.Ready >= 0 && time.Now().UnixNano() >= s.Ready,
	}
}

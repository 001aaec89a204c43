// injector: a mutating admission webhook that does lastword's job as one would write it in Go, for
// the comparison in bench/webhook.py. It decodes the AdmissionReview into types, as programs with
// Kubernetes' libraries do, and answers with a JSON patch of about the same size. It has no
// configuration, no rules, no limits on its input or its load, and verifies nothing.
//
//	injector ADDR:PORT CERT KEY; prints the address it listens on
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

type object = map[string]interface{}

type container struct {
	Name      string   `json:"name"`
	Image     string   `json:"image"`
	Command   []string `json:"command,omitempty"`
	Args      []string `json:"args,omitempty"`
	Env       []object `json:"env,omitempty"`
	Lifecycle object   `json:"lifecycle,omitempty"`
	Resources struct {
		Limits   map[string]string `json:"limits,omitempty"`
		Requests map[string]string `json:"requests,omitempty"`
	} `json:"resources"`
	VolumeMounts             []object `json:"volumeMounts,omitempty"`
	SecurityContext          object   `json:"securityContext,omitempty"`
	TerminationMessagePolicy string   `json:"terminationMessagePolicy,omitempty"`
}

type pod struct {
	Metadata struct {
		Name            string            `json:"name"`
		GenerateName    string            `json:"generateName"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
		OwnerReferences []object          `json:"ownerReferences"`
		ManagedFields   []object          `json:"managedFields"`
	} `json:"metadata"`
	Spec struct {
		InitContainers                []container `json:"initContainers"`
		Containers                    []container `json:"containers"`
		Volumes                       []object    `json:"volumes"`
		RestartPolicy                 string      `json:"restartPolicy"`
		TerminationGracePeriodSeconds int         `json:"terminationGracePeriodSeconds"`
		SecurityContext               object      `json:"securityContext"`
		Tolerations                   []object    `json:"tolerations"`
	} `json:"spec"`
}

type review struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Request    *struct {
		UID       string `json:"uid"`
		Namespace string `json:"namespace"`
		Operation string `json:"operation"`
		UserInfo  object `json:"userInfo"`
		Object    pod    `json:"object"`
	} `json:"request,omitempty"`
	Response *response `json:"response,omitempty"`
}

type response struct {
	UID              string            `json:"uid"`
	Allowed          bool              `json:"allowed"`
	PatchType        string            `json:"patchType"`
	Patch            []byte            `json:"patch"`
	AuditAnnotations map[string]string `json:"auditAnnotations"`
}

type operation struct {
	Op    string      `json:"op"`
	Path  string      `json:"path"`
	Value interface{} `json:"value"`
}

const image = "ghcr.io/lastword/lastword-watchdog:0.1.0"

// The path to append to a list, or to add the list where there is none.
func appended(path string, length int, value object) operation {
	if length == 0 {
		return operation{"add", path, []object{value}}
	}
	return operation{"add", path + "/-", value}
}

func helper(name string, command []string, env []object) object {
	result := object{
		"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "command": command,
		"resources": object{"requests": object{"cpu": "25m", "memory": "16Mi"}},
		"securityContext": object{"allowPrivilegeEscalation": false, "privileged": false,
			"capabilities":           object{"drop": []string{"ALL"}},
			"readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65511,
			"runAsGroup": 65511, "seccompProfile": object{"type": "RuntimeDefault"}},
		"volumeMounts": []object{{"name": "lastword", "mountPath": "/lastword"},
			{"name": "lastword", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
				"readOnly": true}},
	}
	if env != nil {
		result["env"] = env
	}
	return result
}

func fieldEnv(name, path string) object {
	return object{"name": name,
		"valueFrom": object{"fieldRef": object{"apiVersion": "v1", "fieldPath": path}}}
}

// The first container whose name is not a sidecar's.
func agentOf(containers []container) int {
	for i, c := range containers {
		if !strings.Contains(c.Name, "sidecar") && !strings.Contains(c.Name, "daemon") {
			return i
		}
	}
	return 0
}

func patch(p *pod) []operation {
	index := agentOf(p.Spec.Containers)
	agent := &p.Spec.Containers[index]
	at := fmt.Sprintf("/spec/containers/%d/", index)
	grace := fmt.Sprintf("%ds", p.Spec.TerminationGracePeriodSeconds)
	command := append([]string{"/lastword/shim", "run", "--name", agent.Name, "--grace", grace,
		"--watchdog-uid", "65511", "--wait", "10s", "--"}, agent.Command...)
	operations := []operation{
		{"replace", at + "terminationMessagePolicy", "FallbackToLogsOnError"},
		{"replace", at + "command", command},
	}
	applied := []string{"terminationMessagePolicy", "command"}
	if agent.Lifecycle["preStop"] == nil {
		operations = append(operations, operation{"add", at + "lifecycle",
			object{"preStop": object{"exec": object{"command": []string{"/lastword/shim",
				"flush", "--name", agent.Name, "--grace", grace}}}}})
		applied = append(applied, "preStop")
	}
	if agent.Resources.Limits["memory"] == "" {
		operations = append(operations, operation{"add", at + "resources",
			object{"requests": object{"memory": "256Mi"}, "limits": object{"memory": "2Gi"}}})
		applied = append(applied, "resources")
	}
	watch := []string{"/shim", "watch", "--mode", "classic", "--restart-policy",
		p.Spec.RestartPolicy, "--grace", grace, "--start-timeout", "10m0s", "--container",
		agent.Name, "--ring-size", "65536", "--tail", "4096"}
	for _, owner := range p.Metadata.OwnerReferences {
		watch = append(watch, "--owner", fmt.Sprintf("%v/%v", owner["kind"], owner["name"]))
	}
	for _, label := range []string{"task-id", "agent", "service"} {
		if value, found := p.Metadata.Labels[label]; found {
			watch = append(watch, "--context", label+"="+value)
		}
	}
	status, _ := json.Marshal(object{"version": "0.1.0", "outcome": "injected",
		"rule": "agents", "sidecar": "classic",
		"containers": []object{{"name": agent.Name, "applied": applied}}})
	annotation := operation{"add", "/metadata/annotations",
		object{"lastword.dev/status": string(status)}}
	if p.Metadata.Annotations != nil {
		annotation = operation{"add", "/metadata/annotations/lastword.dev~1status", string(status)}
	}
	return append(operations,
		appended(at+"volumeMounts", len(agent.VolumeMounts),
			object{"name": "lastword", "mountPath": "/lastword", "readOnly": true}),
		appended("/spec/volumes", len(p.Spec.Volumes), object{"name": "lastword",
			"emptyDir": object{"medium": "Memory", "sizeLimit": "1Mi"}}),
		appended("/spec/initContainers", len(p.Spec.InitContainers), helper("lastword-install",
			[]string{"/shim", "install", "/lastword/shim"}, nil)),
		operation{"add", "/spec/containers/-", helper("lastword-watchdog", watch, []object{
			fieldEnv("LASTWORD_POD_NAME", "metadata.name"),
			fieldEnv("LASTWORD_POD_NAMESPACE", "metadata.namespace"),
			fieldEnv("LASTWORD_POD_UID", "metadata.uid"),
			fieldEnv("LASTWORD_NODE_NAME", "spec.nodeName")})},
		operation{"add", "/metadata/labels/lastword.dev~1injected", "true"}, annotation)
}

func mutate(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var r review
	if err == nil {
		err = json.Unmarshal(body, &r)
	}
	if err != nil || r.Request == nil || len(r.Request.Object.Spec.Containers) == 0 {
		http.Error(writer, "expected the AdmissionReview of a pod", http.StatusBadRequest)
		return
	}
	operations, err := json.Marshal(patch(&r.Request.Object))
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	answer, _ := json.Marshal(review{Kind: r.Kind, APIVersion: r.APIVersion,
		Response: &response{UID: r.Request.UID, Allowed: true, PatchType: "JSONPatch",
			Patch: operations, AuditAnnotations: map[string]string{"decision": "injected"}}})
	writer.Header().Set("Content-Type", "application/json")
	writer.Header().Set("Content-Length", strconv.Itoa(len(answer))) // else it is sent in chunks
	writer.Write(answer)
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: injector ADDR:PORT CERT KEY")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	http.HandleFunc("/mutate", mutate)
	log.Fatal(http.ServeTLS(listener, nil, os.Args[2], os.Args[3]))
}

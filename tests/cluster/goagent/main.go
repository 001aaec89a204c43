// An agent in Go: its runtime takes signals, preempts with SIGURG and starts children from any thread.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// Waits for SIGTERM while all processors are busy.
func hold() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	for i := 0; i < 4; i++ {
		go func() {
			for n := 0; ; n++ {
			}
		}()
	}
	fmt.Println("ready")
	fmt.Println("got", <-signals)
	os.Exit(42)
}

// Starts children from many threads at once; each one's status is its own.
func children() {
	var group sync.WaitGroup
	for i := 0; i < 200; i++ {
		group.Add(1)
		go func(code int) {
			defer group.Done()
			err := exec.Command("sh", "-c", fmt.Sprintf("echo child >&2; exit %d", code)).Run()
			exit, failed := err.(*exec.ExitError)
			if (failed && exit.ExitCode() != code) || (!failed && (err != nil || code != 0)) {
				log.Fatalf("child %d: %v", code, err)
			}
		}(i)
	}
	group.Wait()
	fmt.Println("all well")
}

func main() {
	switch os.Args[1] {
	case "hold":
		hold()
	case "children":
		children()
	case "panic":
		var numbers []int
		go func() { fmt.Println(numbers[len(os.Args)]) }()
		select {}
	case "deadlock":
		<-make(chan int)
	case "fatal":
		log.Fatal("the model is gone")
	case "nil":
		var pointer *int
		fmt.Println(*pointer)
	}
}

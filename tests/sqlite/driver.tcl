# Runs files of SQLite's test suite one after the other, each in a fresh interpreter and an empty folder, and says on
# standard output what became of each:
#
#   @start FILE
#   @result FILE TESTS ERRORS MILLISECONDS {NAMES OF FAILED TESTS} {MESSAGE OF AN ERROR THAT ENDED THE FILE}
#
# Usage: testfixture driver.tcl SUITE WORK FILE...
#
# SUITE is the folder with tester.tcl; FILE is relative to it. WORK is a folder for databases. Options that tester.tcl
# understands may come before the files.

set arguments $argv
set suite [file normalize [lindex $arguments 0]]
set work [file normalize [lindex $arguments 1]]
set files [lrange $arguments 2 end]
set argv [list --verbose=0 --testdir=$work/sqlite-suite]
set testdir $suite
set argv0 $suite/all.test
source $suite/tester.tcl
# tester.tcl has opened a database of its own for the script that sources it.
catch {db close}

proc counter {name args} { uplevel #0 [list set_test_counter $name {*}$args] }

# Removes what a file left, whatever permissions it gave.
proc clean {dir} {
  foreach path [glob -nocomplain -directory $dir * .*] {
    if {[file tail $path] in {. ..}} continue
    catch {file attributes $path -permissions 0700}
    if {[file type $path] eq "directory"} { clean $path }
    catch {file delete -force $path}
  }
}

set home [pwd]
foreach file $files {
  puts "@start $file"
  flush stdout
  cd $home
  clean $home
  set ::TC(errors) 0
  set ::TC(count) 0
  set ::TC(fail_list) {}
  set ::TC(omit_list) {}
  set ::TC(warn_list) {}
  unset -nocomplain ::run_thread_tests_called
  set message ""
  set scs [sqlite3_enable_shared_cache]
  sqlite3_soft_heap_limit 0
  reset_prng_state
  set ::sqlite_open_file_count 0
  # Random numbers of Tcl are the same in each run.
  set script "expr {srand(1)}; [list source $suite/$file]"
  set begin [clock milliseconds]
  if {[catch {slave_test_script $script} result]} { set message $result }
  set took [expr {[clock milliseconds] - $begin}]
  catch {interp delete tinterp}
  # What the suite's own runner checks after each file; its counter is not safe for threads.
  if {$message eq "" && ![info exists ::run_thread_tests_called] && $::sqlite_open_file_count > 0} {
    lappend ::TC(fail_list) "[file tail $file]-closeallfiles"
    incr ::TC(errors)
  }
  if {[sqlite3_enable_shared_cache $scs] != $scs} {
    lappend ::TC(fail_list) "[file tail $file]-sharedcachesetting"
    incr ::TC(errors)
  }
  set message [string map {\n " "} [string range $message 0 300]]
  # Whatever the file printed, this begins a line.
  puts "\n[list @result $file $::TC(count) $::TC(errors) $took $::TC(fail_list) $message]"
  flush stdout
}
puts "@done"

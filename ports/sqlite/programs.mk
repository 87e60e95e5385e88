# SQLite's test programs, from the sources and with the options that its own Makefile names for each. That Makefile
# compiles and links them in one step; here a new kernel only links.

include Makefile

# From main.mk, which is where threadtest4 is built upstream.
THREADTEST4_OPT = -DSQLITE_THREADSAFE=1

# $(1): program; $(2): sources; $(3): options; $(4): libraries; $(5): generated headers and sources.
define program
$(1)-objects := $$(patsubst %.c,programs/$(1)/%.o,$$(notdir $(2)))
$$(foreach source,$(2),$$(eval programs/$(1)/$$(notdir $$(source:.c=.o)): $$(source)))
$$($(1)-objects): | sqlite3.h $(5) programs/$(1)
	$$(TCC) $(3) -c -o $$@ $$<
programs/$(1):
	mkdir -p $$@
programs/$(1)/image: $$($(1)-objects)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$($(1)-objects) $(4) $$(TLIBS) -lpthread -lm
endef

THREADTEST3_ALL = $(TOP)/test/threadtest3.c $(TOP)/src/test_multiplex.c sqlite3.c
THREADTEST4_ALL = $(TOP)/test/threadtest4.c sqlite3.c
SPEEDTEST1_ALL = $(TOP)/test/speedtest1.c sqlite3.c
KVTEST_ALL = $(TOP)/test/kvtest.c sqlite3.c
FUZZCHECK_ALL = $(FUZZCHECK_SRC) sqlite3.c

$(eval $(call program,speedtest1,$(SPEEDTEST1_ALL),$(ST_OPT)))
$(eval $(call program,threadtest3,$(THREADTEST3_ALL),))
$(eval $(call program,threadtest4,$(THREADTEST4_ALL),$(THREADTEST4_OPT)))
$(eval $(call program,kvtest,$(KVTEST_ALL),$(KV_OPT)))
$(eval $(call program,fuzzcheck,$(FUZZCHECK_ALL),$(FUZZCHECK_OPT)))
$(eval $(call program,testfixture,$(TESTFIXTURE_SRC),-DSQLITE_NO_SYNC=1 $(TEMP_STORE) $(TESTFIXTURE_FLAGS) $(TCL_CFLAGS),$(TCL_LIBS),parse.h opcodes.h sqlite_cfg.h))

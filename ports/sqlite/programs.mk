# SQLite's test programs, from the sources and with the options that its own Makefile names for each. That Makefile
# compiles and links them in one step; here a new kernel only links.

include Makefile

# $(1): program; $(2): sources; $(3): options; $(4): libraries and objects; $(5): generated headers.
define program
$(1)-objects := $$(patsubst %.c,programs/$(1)/%.o,$$(notdir $(2)))
$$(foreach source,$(2),$$(eval programs/$(1)/$$(notdir $$(source:.c=.o)): $$(source)))
$$($(1)-objects): | sqlite3.h $(5) programs/$(1)
	$$(TCC) $(3) -c -o $$@ $$<
programs/$(1):
	mkdir -p $$@
programs/$(1)/image: $$($(1)-objects) $(filter sqlite3.o,$(4))
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$($(1)-objects) $(4) $$(TLIBS) -lpthread -lm
endef

# The shell's own object, for programs that add no options: libtool makes it along with sqlite3.lo (so the rule is empty,
# and no built-in one takes its place).
sqlite3.o: sqlite3.lo ;

$(eval $(call program,speedtest1,$(TOP)/test/speedtest1.c sqlite3.c,$(ST_OPT)))
$(eval $(call program,threadtest3,$(TOP)/test/threadtest3.c $(TOP)/src/test_multiplex.c,,sqlite3.o))
# Only main.mk, for platforms without configure, names threadtest4.
$(eval $(call program,threadtest4,$(TOP)/test/threadtest4.c,,sqlite3.o))
$(eval $(call program,kvtest,$(TOP)/test/kvtest.c sqlite3.c,$(KV_OPT)))
$(eval $(call program,fuzzcheck,$(FUZZCHECK_SRC) sqlite3.c,$(FUZZCHECK_OPT)))
$(eval $(call program,testfixture,$(TESTFIXTURE_SRC),-DSQLITE_NO_SYNC=1 $(TEMP_STORE) $(TESTFIXTURE_FLAGS) $(TCL_CFLAGS),$(TCL_LIBS),parse.h opcodes.h sqlite_cfg.h))

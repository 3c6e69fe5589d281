# Two commands: `make run` and `make test`. `make soak` runs the long tests with full counts, `make fuzz` looks for new inputs
# that break a parser (SECONDS_EACH=60 a target).
.PHONY: run test soak fuzz
run:
	@scripts/install-packages.sh
	@scripts/build.sh
	@DEMO=$(DEMO) scripts/run.sh
test:
	@scripts/test.sh
soak:
	@scripts/soak.sh
fuzz:
	@scripts/fuzz.sh $(SECONDS_EACH)

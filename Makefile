# Two commands: `make run` and `make test`. `make soak` runs the same stories with full counts.
.PHONY: run test soak
run:
	@scripts/install-packages.sh
	@scripts/build.sh
	@DEMO=$(DEMO) scripts/run.sh
test:
	@scripts/test.sh
soak:
	@scripts/test.sh soak

# `make install` and its like: where what was built goes, with the names of the GNU conventions.
#
# Nothing is built here, so that root need not: run `make build` before. Differences: SYSCONFDIR is
# /etc and LOCALSTATEDIR /var whatever PREFIX is, where administrators look for them and programs have
# them as their defaults. Files that name other folders are written anew for the chosen ones; another
# SYSCONFDIR has to be given to `make build`, too, for `tnv` to look for its settings there.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
SYSCONFDIR ?= /etc
LOCALSTATEDIR ?= /var
RUNSTATEDIR ?= /run
INITDIR ?= $(SYSCONFDIR)/init.d
UNITDIR ?= $(PREFIX)/lib/systemd/system
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
FISHDIR ?= $(DATADIR)/fish/vendor_completions.d
# Which programs are installed: those of `make build`, or dev for target/debug.
PROFILE ?= release
BUILT = $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# Of the Debian package.
DEB_VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)

INSTALL_DATA = install -m 644
INSTALL_PROGRAM = install -m 755

SERVICES := tracker idserver storage httpd
DAEMONS := $(addprefix tnv-,$(SERVICES))
UNITS := $(DAEMONS:=.service) $(DAEMONS:=@.service)
CONFIGS := $(SERVICES:=.toml) client.toml
MONITORING := prometheus.yml alerts.yml grafana-dashboard.json
COLLECTORS := gluster-heal.sh

# The folders of the sources become those of the installation.
WITH_FOLDERS = sed -e 's,/usr/sbin/,$(SBINDIR)/,g' -e 's,/usr/share/,$(DATADIR)/,g' \
	-e 's,/etc/default/,$(SYSCONFDIR)/default/,g' -e 's,/etc/tnv,$(SYSCONFDIR)/tnv,g' \
	-e 's,/var/lib/tnv,$(LOCALSTATEDIR)/lib/tnv,g' -e 's,/var/log/tnv,$(LOCALSTATEDIR)/log/tnv,g' \
	-e 's,/run/tnv,$(RUNSTATEDIR)/tnv,g'
# A service has its log in files and runs as its own user; where its data lies is said when it is
# not where the programs have it by default. WITH_KEYS=yes names the files of keys: only a package
# makes them.
AS_SERVICE = sed -e 's,^\#\(user = "tnv"\),\1,' -e 's,^\#\(file = "/var/log/tnv/\),\1,' \
	-e 's,^\#\(access_file = "/var/log/tnv/\),\1,' \
	$(if $(filter /var,$(LOCALSTATEDIR)),,-e 's,^\#\(.*/var/lib/tnv\),\1,') \
	$(if $(WITH_KEYS),-e 's|^\# \(\(cluster_\)\?key_file = \)|\1|')

.PHONY: install install-programs install-manual install-services install-configs install-monitoring install-folders uninstall

install: install-programs install-manual install-services install-configs install-monitoring install-folders ## Install what was built (PREFIX, DESTDIR and so on; PROFILE=dev)

install-programs:
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)'
	$(INSTALL_PROGRAM) $(BUILT)/tnv '$(DESTDIR)$(BINDIR)'
	$(INSTALL_PROGRAM) $(addprefix $(BUILT)/,$(DAEMONS)) etc/tnv-rolling-restart '$(DESTDIR)$(SBINDIR)'

# Made by a program of the build from the command lines and the sample configurations.
install-manual:
	$(BUILT)/tnv-manual $(BUILT)/manual
	set -e; for page in $(BUILT)/manual/man/*; do \
		folder="$(DESTDIR)$(MANDIR)/man$${page##*.}"; install -d "$$folder"; \
		$(WITH_FOLDERS) "$$page" >"$$folder/$${page##*/}"; chmod 644 "$$folder/$${page##*/}"; \
	done
	install -d '$(DESTDIR)$(BASHDIR)' '$(DESTDIR)$(ZSHDIR)' '$(DESTDIR)$(FISHDIR)'
	$(INSTALL_DATA) $(BUILT)/manual/completion/tnv.bash '$(DESTDIR)$(BASHDIR)/tnv'
	$(INSTALL_DATA) $(BUILT)/manual/completion/_tnv '$(DESTDIR)$(ZSHDIR)/_tnv'
	$(INSTALL_DATA) $(BUILT)/manual/completion/tnv.fish '$(DESTDIR)$(FISHDIR)/tnv.fish'

install-services:
	install -d '$(DESTDIR)$(DATADIR)/tnv' '$(DESTDIR)$(INITDIR)' '$(DESTDIR)$(UNITDIR)/tnv-.service.d'
	$(WITH_FOLDERS) etc/init.sh >'$(DESTDIR)$(DATADIR)/tnv/init.sh'
	chmod 644 '$(DESTDIR)$(DATADIR)/tnv/init.sh'
	set -e; for name in $(DAEMONS); do \
		$(WITH_FOLDERS) etc/init.d/$$name >"$(DESTDIR)$(INITDIR)/$$name"; \
		chmod 755 "$(DESTDIR)$(INITDIR)/$$name"; \
	done
	set -e; for name in $(UNITS) tnv-.service.d/tnv.conf; do \
		$(WITH_FOLDERS) etc/systemd/$$name >"$(DESTDIR)$(UNITDIR)/$$name"; \
		chmod 644 "$(DESTDIR)$(UNITDIR)/$$name"; \
	done

# What is there already is the administrator's.
install-configs:
	install -d '$(DESTDIR)$(SYSCONFDIR)/default' '$(DESTDIR)$(SYSCONFDIR)/logrotate.d' \
		$(foreach name,$(SERVICES),'$(DESTDIR)$(SYSCONFDIR)/tnv/$(name).d')
	set -e; for name in $(addprefix tnv/,$(CONFIGS)) $(addprefix default/,$(DAEMONS)) logrotate.d/tnv; do \
		file="$(DESTDIR)$(SYSCONFDIR)/$$name"; [ ! -e "$$file" ] || continue; \
		$(AS_SERVICE) "etc/$${name#tnv/}" | $(WITH_FOLDERS) >"$$file"; chmod 644 "$$file"; \
	done

# Samples, for the machine of Prometheus and Grafana.
install-monitoring:
	install -d '$(DESTDIR)$(DATADIR)/tnv/monitoring'
	$(INSTALL_DATA) $(addprefix etc/monitoring/,$(MONITORING)) '$(DESTDIR)$(DATADIR)/tnv/monitoring'
	$(INSTALL_PROGRAM) $(addprefix etc/monitoring/,$(COLLECTORS)) '$(DESTDIR)$(DATADIR)/tnv/monitoring'

# They belong to the user tnv, if there is one.
install-folders:
	install -d -m 750 '$(DESTDIR)$(LOCALSTATEDIR)/lib/tnv' '$(DESTDIR)$(LOCALSTATEDIR)/log/tnv'
	[ -n '$(DESTDIR)' ] || ! id -u tnv >/dev/null 2>&1 || \
		chown tnv:tnv '$(LOCALSTATEDIR)/lib/tnv' '$(LOCALSTATEDIR)/log/tnv'

uninstall: ## Remove what was installed, except configurations, logs and data
	rm -f '$(DESTDIR)$(BINDIR)/tnv' $(foreach name,$(DAEMONS) tnv-rolling-restart,'$(DESTDIR)$(SBINDIR)/$(name)') \
		$(foreach name,$(DAEMONS),'$(DESTDIR)$(INITDIR)/$(name)') \
		$(foreach name,$(UNITS),'$(DESTDIR)$(UNITDIR)/$(name)') \
		'$(DESTDIR)$(BASHDIR)/tnv' '$(DESTDIR)$(ZSHDIR)/_tnv' '$(DESTDIR)$(FISHDIR)/tnv.fish' \
		'$(DESTDIR)$(MANDIR)'/man[158]/tnv.[158] '$(DESTDIR)$(MANDIR)'/man[158]/tnv[.-]*.[158]
	rm -rf '$(DESTDIR)$(DATADIR)/tnv' '$(DESTDIR)$(UNITDIR)/tnv-.service.d'

.PHONY: deb
deb: ## Make a Debian package of what was built, in target/release/deb (PROFILE=dev: target/debug/deb)
	@package/deb.sh '$(BUILT)' '$(DEB_VERSION)'

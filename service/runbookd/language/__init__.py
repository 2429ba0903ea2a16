"""The two small languages of rules and playbooks, and what they share: label matchers and CEL. Pure."""

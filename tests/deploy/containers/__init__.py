"""The images of the Dockerfile and all of docker-compose.yml, built and run for real, without an engine."""

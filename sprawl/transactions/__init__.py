"""Producer ids now; transaction coordinators and markers will live here too."""

"""What suites, bench and demo share: the API, an application, its users, its history."""
